"""What a process writes down: to standard error, one line a record, and never an address, a link that opens something, or a key.

Names cannot be told from other words, so what is logged says domains and workflow ids; that no name gets through, a test looks at.
"""

import logging
import re
import sys
import time
from collections.abc import Callable

#: Loggers whose every line at INFO is a request, which tells nothing that the history does not.
CHATTY = ("httpx", "httpx2")
#: Characters of one record, and of its traceback; what is longer loses its middle. Of a message no more is looked at than READ.
LONGEST, LONGEST_TRACE, READ = 2_000, 16_000, 20_000
#: Records of one place in the code in one window: whoever can make us write a warning cannot fill a disk.
MOST_OF_ONE_PLACE, WINDOW_SECONDS = 120, 60.0
#: What would begin another line or move a terminal's cursor, and what turns text around.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")

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
    # What pydantic could not read, and what a validator of ours says of it.
    (re.compile(r"(\binput_value=).{0,400}(, input_type=)"), r"\1***\2"),
    (re.compile(r"(\bValue error, ).{0,600}( \[type=value_error)"), r"\1***\2"),
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
    """For a handler: the message, its arguments and its traceback are masked, and can be taken for no other record, before anything is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record; it is always written."""
        record.msg, record.args = one_line(masked(record.getMessage()[:READ])), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = indented(masked(record.exc_text))
        if record.stack_info:
            record.stack_info = indented(masked(record.stack_info))
        return True


def one_line(text: str) -> str:
    """The text in one line of at most :data:`LONGEST` characters, in which nothing moves a cursor or begins another record."""
    return _shortened(_CONTROL.sub(_escaped, text), LONGEST)


def indented(text: str) -> str:
    """A traceback, each line of it set in, so that no line of an error's own text looks like a record."""
    text = _shortened(text, LONGEST_TRACE)
    return "\n".join(f"    {_CONTROL.sub(_escaped, line)}" for line in text.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _shortened(text: str, longest: int) -> str:
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {len(text) - longest:,} characters left out … {text[-half:]}"


class Flood(logging.Filter):
    """For a handler: of one place in the code at most so many records are written in a window; the next window says how many were left out."""

    def __init__(self, most: int = MOST_OF_ONE_PLACE, seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most, self._seconds, self._clock = most, seconds, clock
        self._seen: dict[tuple[str, str, int], tuple[float, int]] = {}  # since when, and how many

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        place, now = (record.name, record.pathname, record.lineno), self._clock()
        since, before = self._seen.get(place, (now, 0))
        if now - since >= self._seconds:
            if before > self._most:
                left_out = f"{before - self._most:,} records like this one were left out before"
                record.msg, record.args = f"{record.getMessage()} ({left_out})", None
            since, before = now, 0
        self._seen[place] = since, before + 1
        return before < self._most


def set_up() -> None:
    """Write to standard error from now on, masked."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Flood())
    handler.addFilter(Masking())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
