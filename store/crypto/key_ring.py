"""The ring of keys that everything is encrypted with before it goes to Temporal: newest first, and every older one still opens.

The ring is a text, ``id:base64,id:base64``, each key 32 bytes. It comes from ``TENURE_PAYLOAD_KEYS``, or it is made once and kept in
``data_dir`` for its owner alone (mode 0600); only the kept one can be rotated by a command. A running process sees a rotation within
:data:`LOOK_AGAIN` seconds, and at once when it meets a key that it does not know.
"""

import base64
import binascii
import fcntl
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Seconds for which a process trusts the ring that it has read.
LOOK_AGAIN = 15.0
VARIABLE = "TENURE_PAYLOAD_KEYS"
FILE = "payload.keys"

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Unreadable(Exception):
    """What was encrypted cannot be opened: its key is not on the ring, or it was changed."""


class NotKept(Exception):
    """The ring comes from the environment, where no command can rotate it."""


@dataclass(frozen=True)
class Key:
    """One key of the ring, or a person's."""

    id: str
    secret: bytes = field(repr=False)

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self.secret)

    def seal(self, data: bytes, about: str) -> bytes:
        """Encrypt with AES-256-GCM; ``about`` is checked when it is opened, and kept nowhere."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Decrypt. Raises :class:`Unreadable` when a byte of it, the key or ``about`` is another one."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about.encode())
        except (InvalidTag, ValueError):
            raise Unreadable(f"it was changed, or it was not encrypted with the key {self.id!r} of this ring") from None

    def text(self) -> str:
        """As it stands in a ring's text."""
        return f"{self.id}:{base64.b64encode(self.secret).decode()}"


def parse(text: str) -> tuple[Key, ...]:
    """The keys of a ring's text, in their order. Raises ``ValueError`` saying which one is wrong, without showing it."""
    keys = [_parsed(number, entry.strip()) for number, entry in enumerate(text.replace("\n", ",").split(","), start=1) if entry.strip()]
    if len({key.id for key in keys}) != len(keys):
        raise ValueError("two keys have the same id")
    return tuple(keys)


def _parsed(number: int, entry: str) -> Key:
    name, _, encoded = entry.partition(":")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        secret = b""
    if not _ID.fullmatch(name) or len(secret) != _KEY_BYTES:
        raise ValueError(f"key {number} must be ID:KEY with {_KEY_BYTES} bytes in base64, as `tenure keys new` prints it")
    return Key(name, secret)


def new_key() -> Key:
    """A key of chance; its id tells the day."""
    return Key(f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3)}", secrets.token_bytes(_KEY_BYTES))


class KeyRing:
    """The ring of one process: that of ``text``, or the one in ``path``, which is made when it is absent. Any thread may use it."""

    def __init__(self, text: str, path: Path, look_again: float = LOOK_AGAIN) -> None:
        self.path = path
        self.kept = not text
        self._look_again = look_again
        self._lock = threading.RLock()
        self._keys = parse(text)
        self._read_at = float("-inf")
        self._stamp: tuple[int, int] | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, newest first."""
        if self.kept and time.monotonic() - self._read_at > self._look_again:
            self._read()
        return self._keys

    @property
    def newest(self) -> Key:
        """The key that encrypts."""
        return self.keys[0]

    def find(self, id_: str) -> Key:
        """The key of that id. Raises :class:`Unreadable` saying what to set."""
        found = self._found(id_)
        if found is None and self.kept:
            self._read()  # another process may just have added it
            found = self._found(id_)
        if found is None:
            where = f"add it to {self.path}" if self.kept else f"add it to {VARIABLE}"
            have = ", ".join(key.id for key in self._keys)
            raise Unreadable(f"the key {id_[:64]!r} is not on the ring (it has: {have}); {where} as ID:KEY, behind the newest")
        return found

    def rotate(self) -> Key:
        """Put a new key in front of the kept ring and return it; the others go on opening. Raises :class:`NotKept`."""
        if not self.kept:
            raise NotKept
        with self._lock, self.path.with_name(f"{self.path.name}.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # of two rotations at once both keys stay
            self._stamp = None
            self._read()
            new = new_key()
            os.replace(_draft(self.path, "".join(f"{key.text()}\n" for key in (new, *self._keys))), self.path)
            self._read()
            return new

    def _found(self, id_: str) -> Key | None:
        return next((key for key in self.keys if key.id == id_), None)

    def _read(self) -> None:
        with self._lock:
            kept(self.path, lambda: f"{new_key().text()}\n")
            about = self.path.stat()
            stamp = about.st_mtime_ns, about.st_ino
            if stamp != self._stamp:
                self._keys = parse(self.path.read_text())
                if not self._keys:
                    raise ValueError(f"{self.path} holds no key; bring it back from a backup, or nothing in Temporal can be read")
                self._stamp = stamp
            self._read_at = time.monotonic()


def kept(path: Path, make: Callable[[], str]) -> str:
    """The secret in ``path``, which ``make`` makes when it is absent. Two processes at once get the same: only one link succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = _draft(path, make())
        try:
            with suppress(FileExistsError):  # another process was first; its secret is the one
                os.link(draft, path)
        finally:
            draft.unlink()
    return path.read_text().strip()


def _draft(path: Path, text: str) -> Path:
    """What is to become that file, in a new one beside it that only its owner may read."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return draft
