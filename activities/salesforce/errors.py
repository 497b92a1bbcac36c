"""What each error of Salesforce's clients means in Temporal's terms."""

from datetime import timedelta
from typing import Any

import requests
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceError,
    SalesforceExpiredSession,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
)
from temporalio.exceptions import ApplicationError

from activities.errors import forbidden, from_status, limited, lost, no_answer, refused, unsure
from activities.salesforce.client import KEY, SYSTEM
from activities.salesforce.soap import SoapFault

LIMIT_RETRY = timedelta(minutes=30)  # the allowance is counted over the last 24 hours, so a short wait frees little of it
RETRIED_CODES = frozenset({"UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "QUERY_TIMEOUT"})
DOWN = "SERVER_UNAVAILABLE"


def codes_of(error: SalesforceError) -> tuple[str, ...]:
    """Salesforce's own codes in an answer, as ``DUPLICATE_VALUE``."""
    return tuple(str(fault.get("errorCode", "")) for fault in _faults(error))


def _faults(error: SalesforceError) -> list[dict[str, Any]]:
    content: Any = error.content
    return [fault for fault in content if isinstance(fault, dict)] if isinstance(content, list) else []


def error_of(error: Exception) -> ApplicationError | None:
    """A Salesforce client's exception in Temporal's terms."""
    match error:
        case SalesforceAuthenticationFailed():
            code = str(error.code)
            if "REQUEST_LIMIT_EXCEEDED" in code or "LOGIN_RATE_EXCEEDED" in code:
                return _used_up()
            return no_answer(SYSTEM, str(error)) if DOWN in code else forbidden(SYSTEM, str(error))
        case SalesforceExpiredSession():
            return forbidden(SYSTEM, "the session has expired")
        case SalesforceRefusedRequest() if "REQUEST_LIMIT_EXCEEDED" in codes_of(error):
            return _used_up()
        case SalesforceMoreThanOneRecord():
            return refused(SYSTEM, f"more than one record has the same {KEY}; delete all but one", kind="Ambiguous")
        case SalesforceError():
            if (codes := set(codes_of(error))) & {DOWN, *RETRIED_CODES}:
                return (no_answer if DOWN in codes else unsure)(SYSTEM, _said(error))
            return from_status(SYSTEM, error.status, _said(error))
        case SoapFault(code="REQUEST_LIMIT_EXCEEDED"):
            return _used_up()
        case SoapFault(code="SERVER_UNAVAILABLE"):
            return no_answer(SYSTEM, str(error))
        case SoapFault():
            return unsure(SYSTEM, str(error)) if error.code in RETRIED_CODES else refused(SYSTEM, str(error))
        case requests.HTTPError():
            return from_status(SYSTEM, error.response.status_code, "convertLead", error.response.headers)
        case requests.RequestException():
            return lost(SYSTEM, error)
    return None


def _used_up() -> ApplicationError:
    return limited(SYSTEM, "the org has used up its API calls of the last 24 hours; raise the limit or stop its other users", LIMIT_RETRY)


def _said(error: SalesforceError) -> str:
    """Salesforce's codes and words; of an answer that is none of its own, the beginning."""
    said = "; ".join(f"{fault.get('errorCode')}: {fault.get('message')}" for fault in _faults(error))
    return said[:500] or str(error.content)[:200]
