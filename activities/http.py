"""The HTTP clients of the systems that have no library of their own: GraphQL servers and Vitally, over httpx. Nothing is repeated by itself.

GraphQL is for the customer's instance and the licensing API. Each operation stands in a file of its own, ``operations/SYSTEM/NAME.graphql``:
a server checks the whole of what it is sent, so it is sent one operation and no more. Errors arrive with HTTP 200: an answer is checked twice.
"""

import ssl
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
from temporalio.exceptions import ApplicationError

from activities.asking import Ask, at_once
from activities.errors import LONGEST_ANSWER, forbidden, from_status, lost, refused, unknown, unreachable

Json = dict[str, Any]

TIMEOUT = httpx.Timeout(LONGEST_ANSWER, connect=5.0)
#: How much is shown of a remote side's own words.
LONGEST_DETAIL = 300

_FORBIDDEN = ("must be site admin", "must be authenticated", "not authenticated", "not authorized")
#: How gateways and servers name an operation that was never executed (``extensions.code``).
_REFUSED_CODES = frozenset({"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT"})
_REFUSED = ("cannot query field", "unknown argument", "unknown type", "invalid username", "invalid id", "failed to parse")


@cache
def certificates() -> ssl.SSLContext:
    """The certificates that our HTTPS clients trust, read once, since that takes longer than many a request.

    They are what httpx itself would read for each client: its bundle, or what ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name.
    """
    return httpx.create_ssl_context()


class HttpClient:
    """One system's connections; one object serves all threads. It goes nowhere that an answer points to: credentials are for who was asked."""

    def __init__(self, system: str, **options: Any) -> None:
        """``options`` are those of ``httpx.Client``."""
        self._system = system
        self._http = httpx.Client(timeout=TIMEOUT, verify=certificates(), follow_redirects=False, **options)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check(self, answer: httpx.Response) -> httpx.Response:
        """The answer, when it is a success. Raises what its status says."""
        if not answer.is_success:
            raise from_status(self._system, answer.status_code, said(answer), answer.headers)
        return answer

    def content(self, answer: httpx.Response, advice: str) -> Json:
        """The JSON object that was answered. Raises what an answer of another kind means; ``advice`` says what to look at."""
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise unknown(self._system, advice)
        return content


def said(answer: httpx.Response) -> str:
    """The remote side's own words: of a JSON object its error or message, else the beginning of the text."""
    try:
        content = answer.json()
        words = content.get("error") or content.get("message")
    except (ValueError, AttributeError):
        words = None
    return str(words or answer.text).strip()[:LONGEST_DETAIL]


class GraphQLError(Exception):
    """The server reports errors. ``text`` is their messages, joined; ``invalid``: it did not execute the operation, and never will."""

    def __init__(self, text: str, *, invalid: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.invalid = invalid


class GraphQL(HttpClient):
    """Calls the operations of one folder, on any server that takes the token."""

    def __init__(self, system: str, folder: str, token: str) -> None:
        super().__init__(system, headers={"Authorization": f"token {token}"})
        self._folder = folder

    def call(self, base_url: str, operation: str, **variables: Any) -> Json:
        """The ``data`` of an operation's answer. Raises :class:`GraphQLError`, ``httpx.HTTPError``, or what the status says."""
        body = {"query": query(self._folder, operation), "operationName": operation, "variables": variables}
        response = self._http.post(f"{base_url.rstrip('/')}/.api/graphql", json=body)
        if response.status_code == 404:
            # The ingress answers for a host that is not there (yet, or any more): nothing can have happened.
            raise unreachable(self._system, f"nothing answers at {base_url} (HTTP 404)")
        if response.is_redirect:
            there = response.headers.get("Location", "")[:LONGEST_DETAIL]
            why = f"{base_url} sends us on to {there}: our token is not sent there; correct the address"
            raise refused(self._system, why, kind="Redirects")
        answer = self.content(self.check(response), f"{base_url} did not answer with GraphQL")
        errors, data = answer.get("errors"), answer.get("data")
        if errors:
            listed = errors if isinstance(errors, list) else [errors]
            found = [error if isinstance(error, dict) else {"message": error} for error in listed]
            text = "; ".join(str(error.get("message", error)) for error in found)[:LONGEST_DETAIL]
            raise GraphQLError(text, invalid=not data and all(map(_never_executed, found)))
        if not isinstance(data, dict):
            raise unknown(self._system, f"{base_url} answered {operation} without data")
        return data

    def listed(self, base_url: str, operation: str, *path: str, first: int, ask: Ask = at_once, **variables: Any) -> list[Json]:
        """Every node of the list at ``path`` in the answer. The lists have no cursor, so a longer one is asked for once more, whole."""
        while True:
            found = ask(partial(self.call, base_url, operation, first=first, **variables))
            for name in path:
                found = found[name]
            if found["totalCount"] <= len(found["nodes"]):
                nodes: list[Json] = found["nodes"]
                return nodes
            first = int(found["totalCount"])


def translated(system: str, error: Exception) -> ApplicationError | None:
    """What an exception of :meth:`GraphQL.call` means; None for one that is not of this client."""
    if isinstance(error, httpx.HTTPError):
        return lost(system, error)
    if isinstance(error, GraphQLError):
        text = error.text.lower()
        if any(words in text for words in _FORBIDDEN):
            return forbidden(system, error.text)
        if error.invalid or any(words in text for words in _REFUSED):
            return refused(system, error.text)
        return unknown(system, error.text)  # a fault inside the server arrives the same way, so it may have acted
    return None


def _never_executed(error: Json) -> bool:
    """Whether an error is of the operation itself: it names a place in its text, and no field whose resolver failed (GraphQL, 7.1.2)."""
    extensions = error.get("extensions")
    if isinstance(extensions, dict) and extensions.get("code") in _REFUSED_CODES:
        return True
    return bool(error.get("locations")) and not error.get("path")


@cache
def query(folder: str, operation: str) -> str:
    """The text of an operation."""
    return (Path(__file__).parent / "operations" / folder / f"{operation}.graphql").read_text(encoding="utf-8")
