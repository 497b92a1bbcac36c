"""The certificates that our HTTPS clients trust: read once for all of them, since reading them takes longer than many a request."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    """What httpx itself would read for each client: its bundle, or what ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name."""
    return httpx.create_ssl_context()
