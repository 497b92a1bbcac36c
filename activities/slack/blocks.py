"""What a message of ours looks like in Slack: its blocks, within the lengths that Slack takes."""

import re
from collections.abc import Iterator
from typing import Any

from slack_sdk.models.blocks import ContextBlock, HeaderBlock, MarkdownTextObject, PlainTextObject, SectionBlock

from domain.effects.slack import Post
from domain.markup import bold, code, line, slack

SECTION_LIMIT = SectionBlock.text_max_length
_HALF = re.compile(r"&[#\w]*$")


def blocks_of(effect: Post, called: str) -> list[dict[str, Any]]:
    """The message as blocks; a task card has a heading, what is asked, the choices, and how to answer.

    ``called`` are the mentions, in mrkdwn already. All else is escaped here.
    """
    if not effect.task:
        return [block.to_dict() for block in _sections(f"{called} {slack(effect.text)}".strip())]
    title, _, rest = effect.text.partition("\n")
    body = "\n".join(filter(None, (called, slack(rest.strip()))))
    choices = "\n".join(f"•  {code(name)}  {label}" for name, label in effect.choices)
    how = slack("Answer:  " + code(f"tenure answer {effect.task} CHOICE --by you@…"))
    blocks = [
        HeaderBlock(text=PlainTextObject(text=_heading(title), emoji=True)),
        *_sections(body),
        *_sections(slack(f"{bold('Choices')}\n{choices}") if choices else ""),
        ContextBlock(elements=[MarkdownTextObject(text=how, verbatim=True)]),
    ]
    return [block.to_dict() for block in blocks]


def _heading(title: str) -> str:
    bare, longest = line(title), HeaderBlock.text_max_length
    return (bare if len(bare) <= longest else f"{bare[: longest - 1]}…") or "A decision is needed"


def _sections(text: str) -> Iterator[SectionBlock]:
    """Verbatim: what looks like an address, a channel or a name is not made into a link."""
    for part in _pieces(text):
        yield SectionBlock(text=MarkdownTextObject(text=part, verbatim=True))


def cut(text: str, longest: int) -> str:
    """The beginning of the text, not cut within an entity: half of one would be read as something else."""
    return text if len(text) <= longest else _HALF.sub("", text[:longest])


def _pieces(text: str) -> Iterator[str]:
    """The text in parts that fit a section, cut between lines where that is possible."""
    while len(text) > SECTION_LIMIT:
        end = text.rfind("\n", 1, SECTION_LIMIT)
        end = end if end > 0 else len(cut(text, SECTION_LIMIT))
        yield text[:end]
        text = text[end:].lstrip("\n")
    if text:
        yield text
