"""The ids of clicks and requests, as a workflow and the audit get them: each entry point, caller and action has a space of its own.

A caller may name an id (``Idempotency-Key``, a form's hidden field, ``--event-id``), so that what is sent again has no second effect. What is
used is made of it with our secret key: nobody can guess, or take beforehand, the id of another's request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid


def new_event() -> str:
    """A fresh id for one click; sent again with the same id, the same click has no second effect."""
    return str(uuid.uuid4())


def event_id(key: bytes, given: str, *space: str) -> str:
    """The id of a request to which its sender gave the id ``given`` within ``space``; a fresh one when they gave none."""
    if not given:
        return new_event()
    return hmac.digest(key, json.dumps(["event", *space, given]).encode(), hashlib.sha256).hex()[:40]
