"""What a process writes down: to standard error, one line a record, and never an address, a link that opens something, or a key.

Names cannot be told from other words, so what is logged says domains and workflow ids; that no name gets through, a test looks at.
"""

from __future__ import annotations

import logging
import re
import sys

#: Loggers whose every line at INFO is a request, which tells nothing that the history does not.
CHATTY = ("httpx", "httpx2")

#: An @ in any of its spellings (itself, full width, in a URL once or twice encoded, in HTML, in JSON), with the domain behind it.
_AT = re.compile(
    r"(?:@|\uff20|%(?:25){0,3}40|&#0{0,6}64;|&#[xX]0{0,6}40;|&commat;|\\u0040|\\x40)((?:[\w-]{1,63}\.){1,8}[\w-]{2,63}|\[[\w.:]{2,60}\])"
)
#: What ends the part before an @, read backwards: all else may stand in one (RFC 5322), encoded or not.
_BEFORE = re.compile(r"[\s<>(),;:\[\]\"]")
#: The address of a page up to the value that an address is.
_QUERY = re.compile(r"/\S*[?&][\w.-]+=")
_LONGEST_LOCAL = 320

_MASKS = (
    # Links of ours that open something: share links, the end of mails, the feedback form, the codec; and those of an instance.
    (re.compile(r"(/(?:s|u|feedback|codec)/)[\w.~%-]{16,}"), r"\1***"),
    (re.compile(r"(password-reset\?)[^\s\"'<>]+"), r"\1***"),
    (re.compile(r"((?:code|token|secret|password|api_key|access_token)=)[^\s&\"'<>]+", re.IGNORECASE), r"\1***"),
    (re.compile(r"(\b(?:bearer|basic|token)\s+)[\w.~+/=-]{16,}", re.IGNORECASE), r"\1***"),
    # Licence keys: the signed text of one, and the sandbox's.
    (re.compile(r"\beyJ[\w-]{10,}(?:\.[\w-]+)*={0,2}"), "***"),
)


def masked(text: str) -> str:
    """The text with stars in the place of what opens something or names somebody."""
    text = _addresses_masked(text)
    for pattern, stars in _MASKS:
        text = pattern.sub(stars, text)
    return text


def _addresses_masked(text: str) -> str:
    """The text with stars for the whole of what stands before an @. Our own staff's too: a log goes to more people than a trial does."""
    parts, done = [], 0
    for at in _AT.finditer(text):
        start = _start_of(text, at.start(), done)
        if start < at.start():
            parts += [text[done:start], "***@", at[1]]
            done = at.end()
    return "".join((*parts, text[done:]))


def _start_of(text: str, end: int, first: int) -> int:
    """Where the part of an address begins that ends at ``end``; not before ``first``."""
    if text[end - 1 : end] == '"' and (opened := text.rfind('"', max(first, end - _LONGEST_LOCAL), end - 1)) >= 0:
        return opened
    start = end
    while start > max(first, end - _LONGEST_LOCAL) and not _BEFORE.match(text[start - 1]):
        start -= 1
    found = _QUERY.match(text, start, end)
    return found.end() if found else start + (text[start:end][:1] == "'")


class Masking(logging.Filter):
    """For a handler: the message, its arguments and its traceback are masked before anything is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record; it is always written."""
        record.msg, record.args = masked(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = masked(record.exc_text)
        if record.stack_info:
            record.stack_info = masked(record.stack_info)
        return True


def set_up() -> None:
    """Write to standard error from now on, masked."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Masking())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
