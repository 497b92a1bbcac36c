"""What an issue to the Cloud team says: what has become of it, the label of a ready instance, and the host that a comment names.

Only what GitHub says was completed has happened.

One reader for the webhook and for polling. People write Markdown, quote each other and paste HTML, so a comment is read as it is shown: marks,
tags and hidden lines are taken off, what is struck out does not count, and what is quoted counts only where nothing else names a host.
"""

import html
import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

READY_LABEL = "cloud-trial/instance-ready"

#: Where an issue is: GitHub knows the first two; of the others it says 410 or 404, and 301.
Where = Literal["open", "closed", "deleted", "transferred"]

#: How GitHub names those who may speak for a repository: its owner, members of the organization, collaborators. Anybody else is a stranger.
TEAM = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})

#: Of a longer comment the end is read, in characters: nobody names a host in more, and what takes long to read must not hold anything up.
LONGEST = 10_000

_OURS = re.compile(r"<!-- tenure:[^>]+ -->")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r"^[ \t>]*~{3,}.*$", re.MULTILINE)
_STRUCK = re.compile(r"~~[^~]*~~|<(del|s|strike)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_ANCHOR = re.compile(r"<a\b[^<>]*?\bhref\s*=\s*[\"']?([^\"'\s<>]+)[^<>]*>.*?</a\s*>", re.IGNORECASE | re.DOTALL)
_AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_REFERENCE = re.compile(r"^ {0,3}\[([^\]\n]+)\]:\s*<?(\S+?)>?(?:\s.*)?$", re.MULTILINE)
#: A picture, which names nothing.
_IMAGE = re.compile(r"!\[[^\[\]\n]*\](?:\([^()\n]*\)|\[[^\[\]\n]*\])")
#: What nobody sees, which comes along when a host is copied from a chat.
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_LINK = re.compile(r"\[([^\[\]\n]*)\]\(\s*<?([^\s<>()]*)>?[^()\n]*\)")
_BY_REFERENCE = re.compile(r"\[([^\[\]\n]+)\](?:\[([^\[\]\n]*)\])?")
_MARKS = re.compile(r"[*_`~|\\]+")
_QUOTE = re.compile(r"^[ \t]*>")
_READY = re.compile(
    r"\binstance(?:\s+is)?(?:\s+now)?\s+ready\b(?:\s+(?:at|on|now|here|under))?[\s:=.!>#+\u2013\u2014\u2192\"'(-]*((?:https?://)?[^\s<>\"'()\[\],;]+)",
    re.IGNORECASE,
)
_ONLY = re.compile(r"\s*(https?://\S+)\s*", re.IGNORECASE)
_NAME = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


def is_done(state: str, reason: str) -> bool:
    """Whether an issue is closed because what it asks has been done; an issue closed before reasons were told of counts as done."""
    return state == "closed" and reason in ("", "completed")


def is_declined(state: str, reason: str) -> bool:
    """Whether nothing is done on an issue any more, although nothing has been done: closed for any other reason, deleted, or transferred."""
    return state in ("deleted", "transferred") or (state == "closed" and not is_done(state, reason))


def became(state: str, reason: str, moved_to: str = "") -> str:
    """What became of an issue, for a sentence that begins with its number."""
    if state == "transferred":
        return f"was transferred to {moved_to or 'another repository'}"
    if state == "closed":
        return {"": "was closed", "not_planned": "was closed as not planned", "duplicate": "was closed as a duplicate"}.get(
            reason, f"was closed as {reason.replace('_', ' ')}"
        )
    return "was deleted, or is where we do not see it" if state == "deleted" else "is open again"


def is_ready(labels: Iterable[str]) -> bool:
    """Whether the labels say that the instance is ready; GitHub compares labels without case."""
    return any(label.strip().lower() == READY_LABEL for label in labels)


def same_repository(one: str, other: str) -> bool:
    """Whether two ``owner/name`` are one repository; GitHub compares them without case."""
    return one.lower() == other.lower()


def speaks_for_the_team(association: str, login: str, trusted: Iterable[str], body: str) -> bool:
    """Whether a comment counts: by ``author_association``, or by a login that the settings name. Our own comments name nothing."""
    if _OURS.search(body):
        return False
    return association.upper() in TEAM or login.lower() in {name.lower() for name in trusted}


def host_named(comment: str) -> str:
    """The host that a comment names last as ready (``Instance ready: https://HOST``, whatever the Markdown), or that is all it says; else empty."""
    shown = _without_marks(comment[-LONGEST:])
    own, quoted = _split(shown)
    for text in (own, quoted):
        if found := [host for address in _READY.findall(text) if (host := host_of(address))]:
            return found[-1]
    alone = _ONLY.fullmatch(own) if not quoted.strip() else None
    return host_of(alone[1]) if alone else ""


def host_of(address: str) -> str:
    """The host of an address with or without ``https://``, in small letters; empty when it has none of several names in letters and digits."""
    address = address.strip().rstrip(".!?:*_`")
    try:
        host = urlsplit(address if "://" in address else f"https://{address}").hostname or ""
    except ValueError:
        return ""
    host = host.lower().rstrip(".")
    return host if _NAME.fullmatch(host) else ""


def is_ours(host: str, suffixes: Iterable[str]) -> bool:
    """Whether a host lies below one of our own domains."""
    return any(suffix and host.lower().endswith("." + suffix.lower().strip(".")) for suffix in suffixes)


def _without_marks(text: str) -> str:
    """The text as it is shown, each link as its address."""
    text = _HIDDEN.sub(" ", _UNSEEN.sub("", text.replace("\r\n", "\n")))
    text = _STRUCK.sub(" ", _FENCE.sub("", text))
    text = _AUTOLINK.sub(r" \1 ", _ANCHOR.sub(r" \1 ", text))
    text = _IMAGE.sub(" ", text)
    references = {name.strip().lower(): address for name, address in _REFERENCE.findall(text)}
    text = _LINK.sub(_of_link, _REFERENCE.sub(" ", text))
    text = _BY_REFERENCE.sub(lambda found: _of_reference(found, references), text)
    return _MARKS.sub("", html.unescape(_TAG.sub(" ", text)).replace("\u00a0", " "))


def _of_link(found: re.Match[str]) -> str:
    """A link's address; its text only where that holds the words that name a host."""
    text, address = found[1], found[2]
    return f" {text} {address} " if "ready" in text.lower() else f" {address} "


def _of_reference(found: re.Match[str], references: dict[str, str]) -> str:
    text, address = found[1], references.get((found[2] or found[1]).strip().lower(), "")
    return f" {text if 'ready' in text.lower() else ''} {address} " if address else text


def _split(text: str) -> tuple[str, str]:
    """The lines that their author wrote, and those that quote."""
    own: list[str] = []
    quoted: list[str] = []
    for line in text.split("\n"):
        (quoted if _QUOTE.match(line) else own).append(_QUOTE.sub("", line))
    return "\n".join(own), "\n".join(re.sub(r"^(?:[ \t]*>)+", "", line) for line in quoted)
