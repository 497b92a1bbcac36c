"""A small GraphQL client over httpx for the customer's instance and the licensing API.

The operations stand in ``.graphql`` files beside this module. Errors arrive with HTTP 200, so an answer is checked twice.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import httpx
from graphql import parse, print_ast, separate_operations
from temporalio.exceptions import ApplicationError

from activities.errors import LONGEST_ANSWER, forbidden, from_httpx, from_status, refused, unknown, unreachable
from activities.tls import certificates

TIMEOUT = httpx.Timeout(LONGEST_ANSWER, connect=5.0)
LONGEST_DETAIL = 300

_FORBIDDEN = ("must be site admin", "must be authenticated", "not authenticated", "not authorized")
#: How gateways and servers name an operation that was never executed (``extensions.code``).
_REFUSED_CODES = frozenset({"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT"})
_REFUSED = ("cannot query field", "unknown argument", "unknown type", "invalid username", "invalid id", "failed to parse")


class GraphQLError(Exception):
    """The server reports errors. ``text`` is their messages, joined; ``invalid``: it did not execute the operation, and never will."""

    def __init__(self, text: str, *, invalid: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.invalid = invalid


class GraphQL:
    """Calls the operations of one document. One object serves all threads; nothing is ever repeated by itself."""

    def __init__(self, system: str, document: str, token: str) -> None:
        self._system = system
        self._document = document
        # Never on to where an answer points: the token is for the server that was asked.
        headers = {"Authorization": f"token {token}"}
        self._http = httpx.Client(headers=headers, timeout=TIMEOUT, verify=certificates(), follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, base_url: str, operation: str, **variables: Any) -> dict[str, Any]:
        """The ``data`` of an operation's answer. Raises :class:`GraphQLError`, ``httpx.HTTPError``, or what the status says."""
        body = {"query": operations(self._document)[operation], "operationName": operation, "variables": variables}
        response = self._http.post(f"{base_url.rstrip('/')}/.api/graphql", json=body)
        if response.status_code == 404:
            # The ingress answers for a host that is not there (yet, or any more): nothing can have happened.
            raise unreachable(self._system, f"nothing answers at {base_url} (HTTP 404)")
        if response.is_redirect:
            there = response.headers.get("Location", "")[:LONGEST_DETAIL]
            raise refused(
                self._system, f"{base_url} sends us on to {there}: our token is not sent there; correct the address", kind="Redirects"
            )
        if not response.is_success:
            detail = response.text.strip()[:LONGEST_DETAIL]
            raise from_status(self._system, response.status_code, detail, response.headers)
        try:
            answer = response.json()
            errors, data = answer.get("errors"), answer.get("data")
        except (ValueError, AttributeError):
            raise unknown(self._system, f"{base_url} did not answer with GraphQL") from None
        if errors:
            found = [
                error if isinstance(error, dict) else {"message": error} for error in (errors if isinstance(errors, list) else [errors])
            ]
            text = "; ".join(str(error.get("message", error)) for error in found)[:LONGEST_DETAIL]
            raise GraphQLError(text, invalid=not data and all(map(_never_executed, found)))
        if not isinstance(data, dict):
            raise unknown(self._system, f"{base_url} answered {operation} without data")
        return data


def translated(system: str, error: Exception) -> ApplicationError | None:
    """What an exception of :meth:`GraphQL.call` means; None for one that is not of this client."""
    if isinstance(error, httpx.HTTPError):
        return from_httpx(system, error)
    if isinstance(error, GraphQLError):
        text = error.text.lower()
        if any(words in text for words in _FORBIDDEN):
            return forbidden(system, error.text)
        if error.invalid or any(words in text for words in _REFUSED):
            return refused(system, error.text)
        return unknown(system, error.text)  # a fault inside the server arrives the same way, so it may have acted
    return None


def _never_executed(error: dict[str, Any]) -> bool:
    """Whether an error is of the operation itself: it names a place in its text, and no field whose resolver failed (GraphQL, 7.1.2)."""
    extensions = error.get("extensions")
    if isinstance(extensions, dict) and extensions.get("code") in _REFUSED_CODES:
        return True
    return bool(error.get("locations")) and not error.get("path")


@cache
def operations(document: str) -> dict[str, str]:
    """The operations of a document by name, each with what it needs and no more: a server checks the whole of what it is sent."""
    text = Path(__file__).with_name(f"{document}.graphql").read_text(encoding="utf-8")
    return {name: print_ast(operation) for name, operation in separate_operations(parse(text)).items()}
