"""What is written down holds no address, no link that opens something and no key."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ValidationError

from starter.logs import LONGEST, LONGEST_TRACE, Flood, Masking, indented, masked, one_line


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("mail to dana.reed+x@kestrel.example.", "mail to ***@kestrel.example."),
        ("GET /unsubscribe?who=dana%40kestrel.example&x=1", "GET /unsubscribe?who=***@kestrel.example&x=1"),
        ("GET https://a.example/u?who=dana%2540kestrel.example", "GET https://a.example/u?who=***@kestrel.example"),
        ("ada!x@acme.example", "***@acme.example"),
        ("ada%40acme.example", "***@acme.example"),
        ("ada%21x%40acme.example", "***@acme.example"),
        ("<o'neil/x=y?z{|}~^`*#$&@acme.example>", "<***@acme.example>"),
        ('to "ada lovelace"@acme.example now', "to ***@acme.example now"),
        ("jörg@bücher.example", "***@bücher.example"),
        ("ada&#64;acme.example, ada\\u0040acme.example, ada＠acme.example", "***@acme.example, ***@acme.example, ***@acme.example"),
        ("{'email': 'ada!x@acme.example'}", "{'email': '***@acme.example'}"),
        ('{"email":"ada!x@acme.example"}', '{"email":"***@acme.example"}'),
        ("ada@[192.0.2.1]", "***@[192.0.2.1]"),
        ("bob=acme.example@relay.example", "***@relay.example"),
        ("the worker 12@host polls", "the worker 12@host polls"),
        ("POST /s/Zm9vYmFyYmF6cXV4Zm9vYmFy", "POST /s/***"),
        ("POST /codec/Zm9vYmFyYmF6cXV4Zm9vYmFy/decode", "POST /codec/***/decode"),
        ("see https://a.cloud/password-reset?userID=1&code=abc.", "see https://a.cloud/password-reset?***"),
        ("Authorization: Bearer abcdefghijklmnopqrst", "Authorization: Bearer ***"),
        ("?token=abc&page=2", "?token=***&page=2"),
        ("key eyJzZWF0cyI6MTAwfQ.c2ln done", "key *** done"),
        ("trial-kestrel.example: 3 of 4 done; waiting: mail.day-2", "trial-kestrel.example: 3 of 4 done; waiting: mail.day-2"),
    ],
)
def test_what_is_masked(said: str, written: str) -> None:
    assert masked(said) == written


ATEXT = "abcxyzABC0189!#$%&'*+-/=?^_`{|}~"


class Form(BaseModel):
    """Holds what somebody typed."""

    seats: int
    note: Annotated[str, AfterValidator(lambda text: (_ for _ in ()).throw(ValueError(f"{text!r} says nothing")))]


@pytest.mark.parametrize("typed", ["zq1name", "a\nzq1name", "zq1, input_type=zq1", "zq1 [type=value_error, zq1", "'zq1'" * 40])
def test_what_pydantic_could_not_read_is_not_repeated(typed: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate({"seats": typed, "note": typed})
    said = masked(f"a fault: {caught.value}")
    assert "zq1" not in said
    assert said.count("***") == 3


@given(
    st.text(ATEXT, min_size=4, max_size=30),
    st.sampled_from(["@", "%40", "%2540", "&#64;", "&#x40;", "\\u0040", "＠"]),
    st.sampled_from(["", "mail to ", "'", '{"to": "', "<", "=", "GET /"]),
)
def test_the_whole_local_part_is_hidden_in_any_spelling(local: str, at: str, before: str) -> None:
    said = masked(f"{before}q{local}q{at}acme.example")
    assert said.endswith("***@acme.example")
    assert f"q{local}q" not in said


def test_a_long_line_is_masked_in_time() -> None:
    assert masked("a" * 1_000_000 + "@acme.example").endswith("***@acme.example")
    assert len(masked("@acme.example" * 50_000)) > 0


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream, logger = io.StringIO(), logging.getLogger("test of masking")
    handler = logging.StreamHandler(stream)
    handler.addFilter(Masking())
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


def test_arguments_and_tracebacks_too(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    try:
        raise ValueError("dana@kestrel.example is wrong")
    except ValueError:
        logger.exception("for %s", "dana@kestrel.example")
    text = stream.getvalue()
    assert "for ***@kestrel.example" in text
    assert "ValueError: ***@kestrel.example is wrong" in text
    assert "dana" not in text


SEPARATORS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00", "\x1b[2K", "\x1b]0;x\x07", "\x9b2J", "\u202e"]


@pytest.mark.parametrize("separator", SEPARATORS, ids=repr)
def test_a_record_is_one_line_whatever_a_stranger_wrote(written: tuple[logging.Logger, io.StringIO], separator: str) -> None:
    logger, stream = written
    forged = f"x{separator}2026-11-30 12:00:00 ERROR tenure: all is lost"
    logger.warning("refused: %s", forged)
    try:
        raise ValueError(forged)
    except ValueError:
        logger.exception("event 1")
    text = stream.getvalue()
    lines = re.split(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text)
    assert [line for line in lines if line.startswith("2026-11-30")] == []
    assert not set(text) & {"\x00", "\x1b", "\x9b", "\u202e", "\r"}


@given(st.text(max_size=300))
def test_no_text_begins_another_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert all(line.startswith("    ") for line in indented(text).splitlines())


def test_long_records_and_tracebacks_lose_their_middle(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = written
    try:
        raise ValueError("y" * 1_000_000)
    except ValueError:
        logger.exception("begins %s ends", "x" * 1_000_000)
    assert len(stream.getvalue()) < LONGEST + LONGEST_TRACE + 1_000
    assert "characters left out" in stream.getvalue()


def test_one_place_cannot_flood_the_log_and_others_are_heard() -> None:
    now = [0.0]
    flood, written = Flood(most=5, seconds=60, clock=lambda: now[0]), []

    def say(line: int, text: str = "refused") -> None:
        record = logging.LogRecord("web", logging.WARNING, "web.py", line, text, None, None)
        if flood.filter(record):
            written.append(record.getMessage())

    for number in range(1_000):
        say(1, f"refused {number}")
    say(2, "something else")
    assert written == [*(f"refused {number}" for number in range(5)), "something else"]
    now[0] = 61
    say(1, "refused again")
    assert written[-1] == "refused again (995 records like this one were left out before)"
    assert len(flood._seen) == 2
