"""What strangers say they are called, and their company: words, since they travel into subjects, greetings, channels and other people's mail."""

from __future__ import annotations

import re
import unicodedata

#: Characters of a person's or a company's name that the public gives.
LONGEST = 60
_SCHEME = re.compile(r"\S*(?:[a-z][a-z0-9+.-]*:/|www\.|mailto:|javascript:|data:)\S*", re.IGNORECASE)
#: Anything that a mail program may make a link of: labels with dots between them, the last one of letters.
_HOST = re.compile(r"(?:\w[\w-]*[.。．｡])+[^\W\d_][\w-]*[^\W_](?:[:/?]\S*)?")
#: Signs by which texts become links, mentions, tags or code somewhere.
_SIGNS = re.compile(r"[<>\[\]{}|\\`@]")
_SHOWN = 40


def tidy(text: str) -> str:
    """The text on one line, composed (NFC), without signs that nobody sees."""
    shown = "".join(sign if sign.isprintable() else " " for sign in unicodedata.normalize("NFC", text))
    return " ".join(shown.split())


def fault(name: str, email: str = "") -> str | None:
    """Why a tidy name cannot be taken, in words that say what to do; None when it can. ``email`` is whose it is: their own domain may be its part."""
    if len(name) > LONGEST:
        return f"Shorten it to {LONGEST} characters; it has {len(name):,}."
    if found := _SCHEME.search(name):
        return f"A name has no web or mail address: leave out {_quoted(found[0])}."
    own = email.strip().lower().rpartition("@")[2]
    for found in _HOST.finditer(name):
        if found[0].lower() != own and not own.endswith(f".{found[0].lower()}"):
            return f"A name has no web or mail address: leave out {_quoted(found[0])}, or put a space behind the dot."
    if found := _SIGNS.search(name):
        return f"A name has no {found[0]}: leave it out."
    return None


def _quoted(text: str) -> str:
    return f"“{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}”"
