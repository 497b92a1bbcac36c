"""Slack's answers: how lists are paged, which errors there are, and what each means in Temporal's terms."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse
from temporalio.exceptions import ApplicationError

from activities.asking import Ask
from activities.errors import LONGEST_ANSWER, forbidden, from_status, limit_wait, limited, no_answer, refused, unreachable, unsure

SYSTEM = "Slack"
EVENT_TYPE = "tenure"
TIMEOUT_SECONDS = round(LONGEST_ANSWER)
PAGE = 200
LIST_PAGE = 999  # listing is limited to some 20 calls a minute, so a large workspace needs large pages

CREDENTIAL_ERRORS = frozenset(
    [
        "access_denied",
        "account_inactive",
        "ekm_access_denied",
        "invalid_auth",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "restricted_action",
        "restricted_action_read_only_channel",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    ]
)
UNCERTAIN_ERRORS = frozenset({"fatal_error", "internal_error", "team_added_to_org"})
DOWN_ERRORS = frozenset({"request_timeout", "service_unavailable"})
GONE_ERRORS = frozenset({"channel_not_found", "is_archived"})
UNSHOWN = frozenset({"not_in_channel", "method_not_supported_for_channel_type", "channel_not_found", "thread_not_found"})
CANNOT_JOIN_ERRORS = frozenset({"cant_invite", "user_disabled", "user_is_restricted", "user_is_ultra_restricted", "user_not_found"})


def pages(ask: Ask, read: Callable[..., SlackResponse], **asked: Any) -> Iterator[SlackResponse]:
    """Each page of a list that ``ask`` gets by ``read``, with what is ``asked`` and the cursor; the last one has none."""
    cursor: str | None = None
    while cursor != "":
        answer = ask(partial(read, cursor=cursor, **asked))
        yield answer
        cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")


def mark_of(message: dict[str, Any]) -> str:
    """The name of the effect that posted a message, by its metadata; empty when it is none of ours."""
    metadata = message.get("metadata", {})
    return str(metadata.get("event_payload", {}).get("key", "")) if metadata.get("event_type") == EVENT_TYPE else ""


@contextmanager
def allowing(*codes: str) -> Iterator[None]:
    """Pass over Slack's errors of these names."""
    try:
        yield
    except SlackApiError as error:
        if code_of(error) not in codes:
            raise


def code_of(error: SlackApiError) -> str:
    """Slack's own name of an error, as ``name_taken``; empty when the answer was none of Slack's."""
    data = error.response.data if hasattr(error.response, "data") else error.response
    return str(data.get("error", "")) if isinstance(data, dict) else ""


def error_of(error: Exception) -> ApplicationError | None:
    """A Slack client's exception in Temporal's terms."""
    if isinstance(error, SlackApiError):
        return _api_error(error)
    if isinstance(error, URLError) and not isinstance(error.reason, TimeoutError):
        # urllib wraps what fails up to and while sending; what is lost afterwards comes unwrapped.
        reason = error.reason
        if isinstance(reason, ConnectionRefusedError) or not isinstance(reason, ConnectionError):
            return unreachable(SYSTEM, str(reason))
    if isinstance(error, OSError | HTTPException | json.JSONDecodeError | SlackClientError):
        return no_answer(SYSTEM, f"{type(error).__name__}: {error}")
    return None


def _api_error(error: SlackApiError) -> ApplicationError:
    response, code = error.response, code_of(error)
    headers = {str(name): str(value) for name, value in response.headers.items()}
    detail = "; ".join(str(line) for line in (response.get("response_metadata") or {}).get("messages", []))
    text = f"{response.api_url.rpartition('/')[2]}: {code}{f' ({detail})' if detail else ''}"[:500]
    if response.status_code == 429 or code in ("ratelimited", "rate_limited"):
        return limited(SYSTEM, text, limit_wait(headers))
    if code in CREDENTIAL_ERRORS:
        needed = response.get("needed")
        return forbidden(SYSTEM, f"{text}, which needs the scope {needed}" if needed else text)
    if response.status_code != 200:
        return from_status(SYSTEM, response.status_code, text, headers)
    if code in DOWN_ERRORS:
        return no_answer(SYSTEM, text)
    if code in UNCERTAIN_ERRORS:
        return unsure(SYSTEM, text)
    return refused(SYSTEM, text)
