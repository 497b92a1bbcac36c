"""What strangers say they are called, and their company: words, since they travel into subjects, greetings, channels and other people's mail."""

import re
import unicodedata

#: Characters of a person's or a company's name that the public gives.
LONGEST = 60
_SCHEME = re.compile(
    r"\S*(?:[a-z][a-z0-9+.-]*:/|www\.|\b(?:h..ps?|ftp|mailto|javascript|data|tel|sms|callto|facetime|skype|xmpp):\S)\S*", re.IGNORECASE
)
#: Anything that a mail program may make a link of: labels with dots between them, the last one of letters; or an address of numbers.
_HOST = re.compile(r"(?:(?:\w[\w-]*[.。])+[^\W\d_][\w-]*[^\W_]|\b\d{1,3}(?:[.。]\d{1,3}){3}\b)(?:[:/?]\S*)?")
#: Signs by which texts become links, mentions, tags or code somewhere.
_SIGNS = re.compile(r"[<>\[\]{}|\\`@]")
#: Letters and signs that look like none.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
_SHOWN = 40


def tidy(text: str) -> str:
    """The text on one line, composed (NFC), without signs that nobody sees."""
    shown = "".join(sign if sign.isprintable() and sign not in _BLANK else " " for sign in unicodedata.normalize("NFC", text))
    return " ".join(shown.split())


def fault(name: str, email: str = "") -> str | None:
    """Why a tidy name cannot be taken, in words that say what to do; None when it can. ``email`` is whose it is: their own domain may be its part."""
    if len(name) > LONGEST:
        return f"Shorten it to {LONGEST} characters; it has {len(name):,}."
    # As programs read it: a full-width dot or slash is one, and a letter is one whatever signs it has.
    plain = "".join(sign for sign in unicodedata.normalize("NFKC", name) if not unicodedata.category(sign).startswith("M"))
    if found := _SCHEME.search(plain):
        return f"A name has no web or mail address: leave out {_quoted(found[0])}."
    own = email.strip().lower().rpartition("@")[2]
    for found in _HOST.finditer(plain):
        if found[0].lower() != own and not own.endswith(f".{found[0].lower()}"):
            return f"A name has no web or mail address: leave out {_quoted(found[0])}, or put a space behind the dot."
    if found := _SIGNS.search(plain):
        return f"A name has no {found[0]}: leave it out."
    return None


def _quoted(text: str) -> str:
    return f"“{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}”"
