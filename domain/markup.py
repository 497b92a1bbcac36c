"""Text on its way out: whatever stands in it is words, and does nothing in the system that shows it.

A company, a name, a reason or a note is somebody else's text, and stands between words of ours in every process. So nothing is escaped
there. The text passes one function of this module where it goes out to a system. That function takes the meaning from everything but
the marks that :func:`bold` and :func:`code` set:

    slack      messages, topics and blocks in mrkdwn     mentions, links, bold, code, quotes, emoji by name
    markdown   GitHub's bodies, Temporal's details       mentions, links, images, HTML, comments, references, headings, tables
    line       titles and summaries: one line            the same, where text is shown as it stands
    name       names in mails                            addresses of the web
    value      a value in a block of code                the block's end, and comments
    plain      our own pages and the command line        only the marks go: they escape by themselves
    shown      a terminal                                control characters

What is readable stays so: ``R&D`` and ``a_b@acme.com`` look as they were typed. A word joiner, which has no width, parts a sign from
what it would mean something for; asterisks, backticks, tildes and underlines at a word's edge become signs that look like them.
"""

import re
from collections.abc import Callable

Write = Callable[[str], str]

# Noncharacters of Unicode stand in no text of anybody's, and the ways in take none.
_BOLD, _CODE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_MARKS = re.compile("[\ufdd0-\ufdef]")
_MARKED = re.compile(f"([{_BOLD}{_CODE}])([^{_BOLD}{_CODE}{_END}]*){_END}")
# A line break stays. Some of these turn the direction of what follows.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufeff]")

#: Bytes.
LONGEST_SUMMARY = 200
#: Characters: more is no name, but a message.
LONGEST_NAME = 100
JOINER = "\u2060"
_LOOKS = str.maketrans({"*": "\u2217", "`": "'", "~": "\u223c", "\t": " "})
_EDGE = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")  # within a word it means nothing
#: What a joiner is put behind, in every system: addresses, links in brackets, names of emoji.
_ANYWHERE = re.compile(
    r"(?::(?=//)|(?<=mailto):(?=\w)|(?<=xmpp):(?=\w)|www(?=\.)|\](?=[(\[:])|:(?=(?:[+-]1|100|1234|[\w+'-]*[a-z][\w+'-]*):))", re.IGNORECASE
)
_CALL = re.compile(r"@(?=(?:channel|here|everyone|group)\b)", re.IGNORECASE)
#: The same where GitHub reads: mentions and addresses, issues, formulas; and commits.
_REFERENCE = re.compile(r"(?:@(?=\w)|#(?=\d)|\bGH(?=-\d)|\$(?=[^\d\s\u2060]))", re.IGNORECASE)
#: What is an address with or without its scheme, and the dots of what mail programs take for one.
_ADDRESS = re.compile(
    r"\S*[:：][/／]\S*|\b(?:www\.|(?:mailto|tel|sms|callto|facetime|skype|xmpp):(?=\S))\S*|\S+\.[^\W\d_]{2,}(?::\d+)?[/?#]\S*"
    r"|\d(?:\.\d+){3}\S*",
    re.IGNORECASE,
)
#: A dot with labels at its sides. In some scripts a letter has signs of its own, which are none of Python's words.
_HOST = re.compile(r"(?<=[^\s!-/:-@\[-`{-~\u2060])[.。．｡﹒․](?=[^\W\d_](?:[^\W\d_]|[^\x00-\u02ff\s\u2060]))")
_COMMIT = re.compile(r"\b[0-9a-f]{7,}\b", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#?\w+;)")
#: A line that would begin something. Ours may begin with "- ": a list of words does nothing.
_BLOCK = re.compile(r"^(?=[#+=|: ]|-(?! )|\d{1,9}[.)](?:\s|$)|- (?:[-+=#|\[]|\d{1,9}[.)](?:\s|$)|\s|$))", re.MULTILINE)
_QUOTE = re.compile(r"^(?=\s*&gt;)", re.MULTILINE)


def bold(text: object) -> str:
    """Text in bold, where there is bold."""
    return f"{_BOLD}{_one(text)}{_END}"


def code(text: object) -> str:
    """Text to be copied as it stands, such as a command."""
    return f"{_CODE}{_one(text)}{_END}"


def plain(text: str) -> str:
    """The text without marks."""
    return _MARKS.sub("", text)


def shown(text: str) -> str:
    """The text without what a terminal would obey, and without what turns its direction."""
    return _CONTROLS.sub("", text)


def line(text: str) -> str:
    """One line, inert wherever it is shown."""
    return _unbracketed(_referring(_inert(_one(text))))


def summary(text: str) -> str:
    """One line, as long as Temporal's server takes one beside an activity, a timer or a workflow."""
    whole = line(text)
    return whole if len(whole.encode()) <= LONGEST_SUMMARY else whole.encode()[: LONGEST_SUMMARY - 3].decode(errors="ignore") + "…"


def counted(number: int, what: str) -> str:
    """A number of things: ``1 day``, ``2 days``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def name(text: str, longest: int = LONGEST_NAME) -> str:
    """A name of others in a mail: one line, where nothing becomes a link in the reader's mail program. Addresses of the web are left out."""
    bare = " ".join(_ADDRESS.sub("", _one(text)).split())
    short = bare if len(bare) <= longest else f"{bare[: longest - 1]}…"
    return _unbracketed(_HOST.sub(rf"{JOINER}\g<0>", short))


def address(email: str) -> str:
    """A mail address of others in a mail; one with a slash would be read as an address of the web."""
    local, at, domain = _one(email).rpartition("@")
    parted = _HOST.sub(rf"{JOINER}\g<0>", local) if "/" in local else local
    return f"{_unbracketed(parted)}{at}{domain}"


def value(text: str) -> str:
    """One line inside a block of code, to be copied as it stands."""
    return _copied(_one(text)).replace("<!--", f"<{JOINER}!--")


def slack(text: str) -> str:
    """Slack's mrkdwn."""

    def words(part: str) -> str:
        return _entities(_CALL.sub(rf"\g<0>{JOINER}", _inert(part)))

    return _QUOTE.sub(JOINER, _written(text, words, lambda part: f"*{words(part)}*", lambda part: f"`{_entities(_copied(part))}`"))


def markdown(text: str) -> str:
    """GitHub-Flavoured Markdown, as GitHub and Temporal's Web UI show it."""

    def words(part: str) -> str:
        return _ENTITY.sub("&amp;", _referring(_inert(part))).replace("<", "&lt;").replace(">", "&gt;")

    return _BLOCK.sub(JOINER, _written(text, words, lambda part: f"**{words(part)}**", lambda part: f"`{_copied(part)}`"))


def _written(text: str, words: Write, in_bold: Write, in_code: Write) -> str:
    parts, at = list[str](), 0
    for found in _MARKED.finditer(text):
        parts.append(words(text[at : found.start()]))
        if found[2]:
            parts.append((in_bold if found[1] == _BOLD else in_code)(found[2]))
        at = found.end()
    return "".join([*parts, words(text[at:])])


def _inert(text: str) -> str:
    flat = _EDGE.sub(lambda found: "\uff3f" * len(found[0]), _CONTROLS.sub("", text)).translate(_LOOKS)
    return _ANYWHERE.sub(rf"\g<0>{JOINER}", flat)


def _referring(text: str) -> str:
    parted = _COMMIT.sub(lambda found: JOINER.join(re.findall(".{1,6}", found[0])), text)
    return _REFERENCE.sub(rf"\g<0>{JOINER}", parted)


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unbracketed(text: str) -> str:
    return text.replace("<", "\u2039").replace(">", "\u203a")


def _copied(text: str) -> str:
    return _CONTROLS.sub("", text).replace("`", "'")


def _one(text: object) -> str:
    return " ".join(_CONTROLS.sub("", str(text)).split())
