"""One mailbox in many spellings is one; two mailboxes never are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ids, mailbox
from tests.domain.make import quickly

locals_ = st.text("abcXYZ019.+_-", min_size=1, max_size=20)
hosts = st.sampled_from(
    ["gmail.com", "GoogleMail.com", "proton.me", "protonmail.com", "pm.me", "icloud.com", "me.com", "mac.com", "yahoo.co.uk", "ya.ru",
     "ada.fastmail.com", "fastmail.com", "acme.com", "gmx.de"]
)  # fmt: skip
addresses = st.builds("{}@{}".format, locals_, hosts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada.lovelace@gmail.com", "adalovelace+trial@googlemail.com"),
        ("A.d.a@GMail.com", "ada@gmail.com"),
        ("ada+1@proton.me", "ada@protonmail.com"),
        ("ada.lovelace@pm.me", "ada_lovelace@proton.me"),
        ("ada+x@icloud.com", "ada@me.com"),
        ("ada@mac.com", "ada+y@me.com"),
        ("ada+news@hotmail.fr", "ada@hotmail.fr"),
        ("ada.l@yandex.ru", "ada-l@ya.ru"),
        ("shop@ada.fastmail.com", "ada@fastmail.com"),
        ("bob+trial@acme.com", "bob@acme.com"),
    ],
)
def test_two_spellings_are_one_mailbox(one: str, other: str) -> None:
    assert mailbox.same(one, other)
    assert ids.trial(one) == ids.trial(other)
    assert ids.rescue(one) == ids.rescue(other)
    assert ids.join("acme.com", one) == ids.join("acme.com", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@gmail.com", "adb@gmail.com"),
        ("ada@gmail.com", "ada@proton.me"),
        ("a.da@icloud.com", "ada@icloud.com"),  # Apple tells them apart
        ("a.da@gmx.de", "ada@gmx.de"),
        ("ada@hotmail.com", "ada@outlook.com"),
        ("a.da@acme.com", "ada@acme.com"),
        ("+@gmail.com", "-@gmail.com"),
    ],
)
def test_two_mailboxes_stay_two(one: str, other: str) -> None:
    assert not mailbox.same(one, other)
    assert ids.trial(one) != ids.trial(other)


@quickly
@given(addresses)
def test_the_one_spelling_stands_for_itself(email: str) -> None:
    once = mailbox.canonical(email)
    assert mailbox.canonical(once) == once == mailbox.canonical(f" {email.upper()} ")
    assert once.count("@") == 1
    assert not once.startswith("@")


@quickly
@given(addresses)
def test_whoever_was_erased_keeps_the_ids_of_every_spelling(email: str) -> None:
    assert ids.digest(ids.erased(email)) == ids.digest(email) == ids.digest(mailbox.canonical(email))
    assert ids.trial(ids.erased(email)) == ids.trial(email)
