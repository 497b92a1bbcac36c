"""What is written down holds no address, no link that opens something and no key."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from starter.logs import Masking, masked


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("mail to dana.reed+x@kestrel.example.", "mail to ***@kestrel.example."),
        ("GET /unsubscribe?who=dana%40kestrel.example&x=1", "GET /unsubscribe?who=***@kestrel.example&x=1"),
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
