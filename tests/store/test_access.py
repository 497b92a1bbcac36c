"""Signed tokens: only ours, only for their purpose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.access import BadToken, sign, verify


@given(st.text(max_size=60), st.text(max_size=20))
def test_what_was_signed_comes_back(value: str, key: str) -> None:
    token = sign(key, "unsubscribe", value)
    assert verify(key, "unsubscribe", token) == value
    assert token.replace(".", "").replace("-", "").replace("_", "").isalnum() or not value


@given(st.text(max_size=60))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        verify("key", "unsubscribe", text)


@pytest.mark.parametrize("position", [0, 5, -1, -8])
def test_a_changed_token_is_refused(position: int) -> None:
    token = sign("key", "unsubscribe", "trial-acme.example")
    changed = list(token)
    changed[position] = "A" if changed[position] != "A" else "B"
    with pytest.raises(BadToken):
        verify("key", "unsubscribe", "".join(changed))


def test_another_purpose_or_key_is_refused() -> None:
    token = sign("key", "unsubscribe", "trial-acme.example")
    with pytest.raises(BadToken):
        verify("key", "feedback", token)
    with pytest.raises(BadToken):
        verify("other", "unsubscribe", token)
