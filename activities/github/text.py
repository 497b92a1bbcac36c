"""What is written on GitHub: an issue's body with its fields, and the marks by which issues, comments and runs are found again."""

import re

from domain.effects.github import RaiseIssue
from domain.markup import markdown, value
from store.ledger import EffectId

_MARK = re.compile(r"<!-- tenure:(.+?) -->")
_BLOCK = re.compile(r"^```[^\n]*\n.*?^```", re.MULTILINE | re.DOTALL)


def mark(effect_id: EffectId) -> str:
    """The hidden line that says which effect made an issue or a comment."""
    return f"<!-- tenure:{effect_id} -->"


def mark_of(body: str | None) -> str:
    """Whose mark a body carries; empty when it carries none."""
    found = _MARK.findall(body or "")
    return str(found[-1]) if found else ""


def body_of(effect: RaiseIssue, effect_id: EffectId) -> str:
    """An issue's body: the introduction, the fields as ``name: value`` lines in a block, the mark."""
    lines = [f"{name}: {value(given)}" for name, given in effect.fields.items()]
    return "\n".join([markdown(effect.intro.strip()), "", "```", *lines, "```", "", mark(effect_id)])


def filled(body: str, field: str, given: str) -> str:
    """The body with the field's line rewritten, within a block of code; with the line in a block of its own when people removed it."""
    written = f"{field}: {value(given)}"
    pattern = re.compile(rf"^{re.escape(field)}:[^\r\n]*", re.MULTILINE)
    for block in _BLOCK.finditer(body):
        if pattern.search(block[0]):
            return body[: block.start()] + pattern.sub(lambda _: written, block[0], count=1) + body[block.end() :]
    return f"{body.rstrip()}\n\n```\n{written}\n```\n"


def names(title: str, request: str) -> bool:
    """Whether a run's title carries exactly this request: ``…/host-1`` is not ``…/host-10``."""
    return re.search(rf"(?<![\w./-]){re.escape(request)}(?![\w/-]|\.\w)", title) is not None
