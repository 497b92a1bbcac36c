"""The HTTP client of the systems that have no library of their own: GraphQL servers and Vitally, over httpx. Nothing is repeated by itself."""

import ssl
from functools import cache
from typing import Any

import httpx

from activities.errors import LONGEST_ANSWER, from_status, unknown

Json = dict[str, Any]

TIMEOUT = httpx.Timeout(LONGEST_ANSWER, connect=5.0)
#: How much is shown of a remote side's own words.
LONGEST_DETAIL = 300


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
