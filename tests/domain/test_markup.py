"""Whatever a stranger writes is words where it is shown: no link, no mention, no markup; and what is readable stays so."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import markup
from domain.markup import JOINER, LONGEST_SUMMARY, bold, code

#: Pieces of every markup that the systems know; anything may stand beside anything.
PIECES = (
    "<!channel>",
    "<@U1>",
    "<https://evil.example|Reset password>",
    "<!-- tenure:trial-acme.com/0a1b2c3d.1/request -->",
    "<img src=https://evil.example/x>",
    "<b>",
    "&lt;!channel&gt;",
    "&#60;",
    "@here",
    "@acme-vendor/cloud",
    "ada@evil.example",
    "#12",
    "GH-12",
    "org/repo#1",
    "0a1b2c3d4e5f",
    "[x](https://evil.example)",
    "![x](//evil.example)",
    "[x][1]",
    "[1]: https://evil.example",
    "[^1]",
    "www.evil.example",
    "HTTPS://evil.example",
    "mailto:a@evil.example",
    "192.168.0.1/login",
    "evil．example",
    "tel:+15550100",
    "*bold*",
    "**bold**",
    "_it_",
    "__it__",
    "~~no~~",
    "`code`",
    "```",
    "~~~",
    ":tada:",
    "$x$",
    "\n",
    "\n# ",
    "\n> ",
    "\n- ",
    "\n1. ",
    "\n    ",
    "\n---",
    "\n===",
    "\n| a |",
    "\\",
    "\u202e",
    "\ufdd0",
    "\ufdd1",
    "\ufdd2",
    "R&D",
    "Acme",
    " ",
    ":",
    "(",
    ")",
    "]",
    "/",
    ".",
)
STRANGERS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


def active_in_slack(text: str) -> list[str]:
    """What Slack would make something of."""
    bare = re.sub(r"&(?:amp|lt|gt);", ".", text)
    found = re.findall(r"[<>&]|\w://|(?<!\w)@(?:channel|here|everyone)\b|www\.\w|[*`~]|(?<![^\W_])_\w|:[a-z]\w*:", bare)
    return found + re.findall(r"(?m)^\s*&gt;", text)


def active_in_a_line(text: str) -> list[str]:
    """What GitHub or the Web UI would make something of within a line."""
    found = re.findall(
        r"<|(?<!\w)@\w|\w@\w|#\d|\bGH-\d|\w://|www\.\w|mailto:\w|\]\(|\]\[|\]:|[*`~]|(?<![^\W_])_\w|:[a-z]\w*:|\$[a-z]|\b[0-9a-f]{7,40}\b",
        text,
        re.IGNORECASE,
    )
    found += [entity for entity in re.findall(r"&#?\w+;", text) if entity not in ("&lt;", "&gt;", "&amp;")]
    return found


def active_in_markdown(text: str) -> list[str]:
    """And at its beginning, beyond lists."""
    return active_in_a_line(text) + re.findall(r"(?m)^(?:- )*(?:#|>|\+ |=|\||:-| |\d{1,9}[.)] |---)", text)


def letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


@given(STRANGERS)
def test_nothing_is_active_in_slack(text: str) -> None:
    shown = markup.slack(text.replace("\ufdd0", "").replace("\ufdd1", ""))
    assert active_in_slack(shown) == []
    assert letters(html.unescape(shown)) == letters(text)


@given(STRANGERS)
@example("- # no heading")
def test_nothing_is_active_in_markdown(text: str) -> None:
    shown = markup.markdown(text.replace("\ufdd0", "").replace("\ufdd1", ""))
    assert active_in_markdown(shown) == []
    assert letters(re.sub("&amp;|&lt;|&gt;", lambda found: html.unescape(found[0]), shown)) == letters(text)


@given(STRANGERS)
def test_nothing_is_active_in_a_line(text: str) -> None:
    shown = markup.line(text)
    assert "\n" not in shown
    assert [found for found in active_in_a_line(shown) if not found.startswith("&")] == []
    assert letters(shown) == letters(text)
    assert markup.line(shown) == shown  # it may pass twice: with its activity and with its batch
    assert len(markup.summary(text).encode()) <= LONGEST_SUMMARY


@given(STRANGERS)
def test_nothing_is_an_address_in_a_name(text: str) -> None:
    shown = markup.name(text)
    assert "\n" not in shown
    assert re.findall(r"://|\bwww\.|\b(?:mailto|tel):\S|[^\W_][.．][^\W\d_]{2,}\b|\d(?:\.\d+){3}", shown, re.IGNORECASE) == []
    assert len(shown.replace(JOINER, "")) <= markup.LONGEST_NAME


@pytest.mark.parametrize("host", ["evil.example", "evil.भारत", "शर्मा.भारत", "evil.ไทย", "evil.xn--p1ai", "пример。рф"])
def test_a_host_in_any_script_is_parted_in_a_name(host: str) -> None:
    shown = markup.name(f"Acme {host} Ltd")
    assert re.findall(rf"[^{JOINER}][.。]", shown) == []
    assert shown.replace(JOINER, "") == f"Acme {host} Ltd"


@given(STRANGERS)
def test_a_value_neither_ends_its_block_nor_is_a_mark_of_ours(text: str) -> None:
    shown = markup.value(text)
    assert not set("`\n\r") & set(shown)
    assert "<!--" not in shown


@given(STRANGERS)
def test_our_marks_are_bold_and_code_whatever_stands_in_them(text: str) -> None:
    said = f"{bold(text)} waits: {code(text)}"
    shown = markup.slack(said)
    inner = shown.removeprefix("*").partition("*")[0] if letters(text) else ""
    assert active_in_slack(f"-{inner}") == []
    assert re.sub("`[^`]*`", "", shown).count("*") in (0, 2)
    assert shown.count("`") in (0, 2)
    assert "<" not in shown
    assert letters(markup.plain(said)) == letters(f"{text} waits {text}")
    assert not set("\ufdd0\ufdd1\ufdd2") & set(markup.plain(said))


@pytest.mark.parametrize("write", [markup.slack, markup.markdown, markup.line, markup.plain, markup.name, markup.value])
def test_what_is_readable_stays_so(write: Callable[[str], str]) -> None:
    for text in ("R&D Ltd.", "St. John's (UK)", "a_b, 3 - 2 = 1; 50 % off!", "12:30:45 on 2026-11-30", "Müller & Söhne", "株式会社"):
        assert html.unescape(write(text)) == text
