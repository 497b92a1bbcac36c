"""What is written down holds no address, no link that opens something and no key."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starter.logs import Masking, masked


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
