"""Secrets at rest, and the links that open them for a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, update

from store import tables
from store.ledger import Ledger
from store.settings import Settings
from store.vault import Expired, Opened, Unknown, Unreadable, Vault

URL = "https://acme.cloud.tenure.example/password-reset?code=s3cr3t"


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_a_value_comes_back_and_is_not_kept_in_the_clear(vault: Vault, ledger: Ledger) -> None:
    ref = vault.put("reset_link", URL, soon(), "reset link of ada on acme")
    assert vault.get(ref) == URL
    with ledger.reading() as db:
        row = db.execute(select(tables.vault)).one()
    assert b"s3cr3t" not in row.value
    assert "s3cr3t" not in ref
    assert (row.kind, row.note) == ("reset_link", "reset link of ada on acme")


def test_unknown_expired_and_unreadable_are_told_apart(vault: Vault, ledger: Ledger) -> None:
    with pytest.raises(Unknown, match="no 'nothing'"):
        vault.get("nothing")
    with pytest.raises(Expired, match="expired at"):
        vault.get(vault.put("reset_link", URL, datetime.now(UTC), "over"))
    ref = vault.put("license_key", "key", None, "for ever")
    assert vault.get(ref) == "key"
    with pytest.raises(Unreadable, match="TENURE_SECRET_KEY"):
        Vault(ledger, Fernet.generate_key().decode()).get(ref)


def test_a_share_link_opens_once_unless_nothing_came_of_it(vault: Vault, ledger: Ledger) -> None:
    ref = vault.put("license_key", "key", None, "x")
    token = vault.share("a/1", ref, "ada@acme.com", ttl_hours=24)
    looked = vault.look(token)
    assert looked is not None
    assert (looked.works, looked.kind, looked.to_email, looked.ref) == (True, "license_key", "ada@acme.com", ref)
    assert timedelta(hours=23, minutes=59) < looked.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    assert vault.open(token).opened_at is not None
    with pytest.raises(Opened, match="opens once"):
        vault.open(token)
    vault.close(token)
    assert vault.open(token).ref == ref
    with ledger.writing() as db:
        db.execute(update(tables.share_links).values(expires_at=datetime.now(UTC), opened_at=None))
    with pytest.raises(Expired):
        vault.open(token)


def test_of_many_who_open_it_at_one_moment_one_does(vault: Vault, ledger: Ledger, settings: Settings) -> None:
    """Two processes with connections of their own, eight clicks each, all at once."""
    token = vault.share("a/1", "trial-acme.com", "ada@acme.com", ttl_hours=24)
    other = Ledger(ledger.url)
    vaults, start = (vault, Vault(other, settings.key())), Barrier(16)

    def click(number: int) -> bool:
        start.wait()
        try:
            return bool(vaults[number % 2].open(token))
        except Opened:
            return False

    with ThreadPoolExecutor(16) as threads:
        opened = list(threads.map(click, range(16)))
    other.close()
    assert sum(opened) == 1


def test_of_one_admins_links_the_first_that_is_opened_is_the_only_one(either_ledger: Ledger, settings: Settings) -> None:
    """A new link leaves the old one good until either is opened; of two presses at one moment one counts; a link made later is good again."""
    vault = Vault(either_ledger, settings.key())
    links = [vault.share(f"a/{number}", "trial-acme.com", "ada@acme.com", ttl_hours=24) for number in range(6)]
    others = [vault.share("b/1", "trial-acme.com", "bo@acme.com", 24), vault.share("c/1", "trial-other.com", "ada@acme.com", 24)]
    start = Barrier(len(links))

    def click(token: str) -> bool:
        start.wait()
        try:
            return bool(vault.open(token))
        except Opened:
            return False

    with ThreadPoolExecutor(len(links)) as threads:
        opened = list(threads.map(click, links))
    assert sum(opened) == 1
    assert [look.works for token in links if (look := vault.look(token))] == [False] * len(links)
    vault.close(links[opened.index(True)])  # nothing came of it: all are as they were
    assert [look.works for token in links if (look := vault.look(token))] == [True] * len(links)
    vault.open(links[0])
    later = vault.share("a/later", "trial-acme.com", "ada@acme.com", ttl_hours=24)
    assert vault.open(later).works is False
    assert [vault.open(token).to_email for token in others] == ["bo@acme.com", "ada@acme.com"]


def test_what_is_taken_is_gone(vault: Vault, ledger: Ledger) -> None:
    ref = vault.put("reset_link", URL, soon(), "x")
    assert vault.take(ref) == URL
    with pytest.raises(Unknown):
        vault.take(ref)
    with ledger.reading() as db:
        assert db.execute(select(tables.vault)).all() == []


def test_a_reset_link_that_nobody_came_for_is_forgotten_with_the_next(vault: Vault, ledger: Ledger) -> None:
    vault.put("reset_link", URL, datetime.now(UTC), "nobody came")
    key = vault.put("license_key", "key", datetime.now(UTC), "a key is another matter")
    ref = vault.put("reset_link", URL, soon(), "x")
    with ledger.reading() as db:
        assert set(db.execute(select(tables.vault.c.ref)).scalars()) == {key, ref}


def test_a_link_of_one_name_is_one_link(vault: Vault, ledger: Ledger, settings: Settings) -> None:
    """A mail that is written again has the same link; neither another's name nor another's key makes it."""
    token = vault.share("a/1", "trial-acme.com", "ada@acme.com", 24)
    assert vault.share("a/1", "trial-acme.com", "ada@acme.com", 24) == token == vault.token("a/1")
    vault.open(token)
    vault.share("a/1", "trial-acme.com", "ada@acme.com", 24)
    with pytest.raises(Opened):
        vault.open(token)
    assert len({token, vault.token("a/2"), Vault(ledger, Fernet.generate_key().decode()).token("a/1")}) == 3


def test_tokens_cannot_be_guessed_or_read_from_the_table(vault: Vault, ledger: Ledger) -> None:
    ref = vault.put("reset_link", URL, soon(), "x")
    tokens = {vault.share(f"a/{number}", ref, "ada@acme.com", 1) for number in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= 32 for token in tokens)
    with ledger.reading() as db:
        kept = set(db.execute(select(tables.share_links.c.token_hash)).scalars())
    assert not kept & tokens
    for guess in ("", "x", next(iter(kept))):
        with pytest.raises(Unknown):
            vault.open(guess)
    with pytest.raises(Unknown, match="to share"):
        vault.share("a/x", "nothing", "ada@acme.com", 1)
