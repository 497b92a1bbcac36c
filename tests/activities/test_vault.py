"""Secrets at rest, and the links that open them for a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, update

from activities import tables
from activities.ledger import Ledger
from activities.vault import Expired, Unknown, Unreadable, Vault

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


def test_a_share_link_opens_as_often_as_one_likes_until_it_expires(vault: Vault, ledger: Ledger) -> None:
    ref = vault.put("reset_link", URL, soon(), "x")
    token = vault.share(ref, "ada@acme.com", ttl_hours=24)
    first = vault.open_share(token)
    assert (first.value, first.kind, first.to_email) == (URL, "reset_link", "ada@acme.com")
    assert timedelta(hours=23, minutes=59) < first.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    again = vault.open_share(token)
    assert (again.value, again.opened_at) == (first.value, first.opened_at)
    with ledger.writing() as db:
        db.execute(update(tables.share_links).values(expires_at=datetime.now(UTC)))
    with pytest.raises(Expired):
        vault.open_share(token)


def test_a_share_link_ends_with_its_value(vault: Vault, ledger: Ledger) -> None:
    token = vault.share(vault.put("reset_link", URL, soon(), "x"), "ada@acme.com", ttl_hours=24)
    with ledger.writing() as db:
        db.execute(update(tables.vault).values(expires_at=datetime.now(UTC)))
    with pytest.raises(Expired):
        vault.open_share(token)


def test_tokens_cannot_be_guessed_or_read_from_the_table(vault: Vault, ledger: Ledger) -> None:
    ref = vault.put("reset_link", URL, soon(), "x")
    tokens = {vault.share(ref, "ada@acme.com", 1) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= 32 for token in tokens)
    with ledger.reading() as db:
        kept = set(db.execute(select(tables.share_links.c.token_hash)).scalars())
    assert not kept & tokens
    for guess in ("", "x", next(iter(kept))):
        with pytest.raises(Unknown):
            vault.open_share(guess)
    with pytest.raises(Unknown, match="to share"):
        vault.share("nothing", "ada@acme.com", 1)


def test_what_expired_is_purged_with_its_links(vault: Vault) -> None:
    dead = vault.put("reset_link", URL, datetime.now(UTC), "dead")
    token = vault.share(dead, "ada@acme.com", 1)
    alive, ever = vault.put("reset_link", URL, soon(), "alive"), vault.put("license_key", "key", None, "ever")
    assert vault.purge() == 1
    assert vault.purge() == 0
    with pytest.raises(Unknown):
        vault.get(dead)
    with pytest.raises(Unknown):
        vault.open_share(token)
    assert (vault.get(alive), vault.get(ever)) == (URL, "key")
