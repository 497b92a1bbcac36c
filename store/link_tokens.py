"""Signed tokens for links in mails: they say whose link it is, and cannot be made by anyone without our key.

``VALUE.SIGNATURE``, both URL-safe base64. The value is signed, not encrypted: put no secret and no personal data in it. A token has no
expiry, since the opt-out link of an old mail must go on working.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_DIGEST_BYTES = 18  # 144 bits are out of reach for guessing, and keep the link short


class BadToken(ValueError):
    """The token was cut off, mistyped or forged."""


def sign(key: str, purpose: str, value: str) -> str:
    """A token for ``value``. One that is made for another ``purpose`` is not accepted in its place."""
    payload = _encode(value.encode())
    return f"{payload}.{_encode(_digest(key, purpose, payload))}"


def verify(key: str, purpose: str, token: str) -> str:
    """The value of a token of ours. Raises :class:`BadToken` for any other text."""
    payload, _, signature = token.partition(".")
    if not hmac.compare_digest(_encode(_digest(key, purpose, payload)).encode(), signature.encode("utf-8", "replace")):
        raise BadToken("this link is incomplete or was not made by us; copy the whole link from the mail")
    try:
        return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadToken("this link is damaged; copy the whole link from the mail") from error


def _digest(key: str, purpose: str, payload: str) -> bytes:
    # The key also encrypts the vault; a key of its own for each purpose keeps the two uses apart.
    own = hmac.digest(key.encode(), f"tenure token {purpose}".encode(), hashlib.sha256)
    return hmac.digest(own, payload.encode("utf-8", "replace"), hashlib.sha256)[:_DIGEST_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
