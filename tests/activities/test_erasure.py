"""Erasing one person from the ledger: everything of theirs in every table, and nothing of anybody else's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import JSON, String, Text, insert, select

from activities.erasure import Forgotten, forget
from activities.instance import usernames
from activities.mail.effects import Mailer
from domain import ids
from domain.effects.effect import EffectBatch, Receipt
from domain.effects.mail import Mail
from sandbox.server import SandboxServer
from store.columns import Utc
from store.crypto.person_keys import PersonKeys
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.tables import effects, failed_signups, feedback, instances, metadata, share_links, waiting
from store.tables import vault as vault_table
from store.vault import Expired, Vault

DANA, ROBIN = "Dana.Reedmark@kestrel.example", "robin@kestrel.example"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TRIAL = "trial-kestrel.example"


def people_of(ledger: Ledger, settings: Settings) -> PersonKeys:
    return PersonKeys(ledger, settings.payload_ring(), settings.key)


def effect(ledger: Ledger, key: str, summary: str, subject: str = f"{TRIAL}/12345678.1", **data: str) -> None:
    receipt = Receipt(ref="1", data=data)
    with ledger.writing() as db:
        ledger.record(db, EffectId(subject, key), system="mail", act="mail.sent", summary=summary, as_of=NOW, receipt=receipt)


def fill(ledger: Ledger, settings: Settings) -> str:
    """A bit of each person everywhere; returns the token of Dana's link."""
    people = people_of(ledger, settings)
    people.load([DANA, ROBIN])
    people.learn({DANA.lower(): ["Dana Reedmark", "Dana", "Reedmark"], ROBIN: ["Robin Li"]})
    effect(ledger, "mail.day-2", "welcome to Dana Reedmark", username="dana.reedmark", subject=f"{TRIAL}/12345678.1")
    effect(ledger, "mail.join", "mail of Robin Li", to=ROBIN)
    effect(ledger, "mail.other", "Dana of another company", subject="trial-other.example/12345678.1")
    effect(ledger, "mail.far", f"copy to {DANA.upper()}", subject="upkeep/12345678.1")
    rows: list[tuple[Any, dict[str, Any]]] = [
        (instances, {"host": "a.cloud", "domain": "kestrel.example", "subject": TRIAL, "kind": "trial", "admin": DANA, "created_at": NOW}),
        (instances, {"host": "b.cloud", "domain": "other.example", "subject": "x", "kind": "trial", "admin": ROBIN, "created_at": NOW}),
        (feedback, {"id": "1", "subject": TRIAL, "domain": "kestrel.example", "data": {"reason": "price", "text": "from D."}, "at": NOW}),
        (feedback, {"id": "2", "subject": "trial-other.example", "domain": "other.example", "data": {"text": "theirs"}, "at": NOW}),
    ]
    for number, email in enumerate((DANA, ROBIN)):
        data = {"first_name": "Dana", "last_name": "Marrymark", "company": "Kestrel"}
        rows.append((failed_signups, {"id": str(number), "email": email, "problem": f"no room for {email}", "data": data, "at": NOW}))
    with ledger.writing() as db:
        for table, row in rows:
            db.execute(insert(table).values(row))
    vault = Vault(ledger, settings.key())
    vault.put("reset_link", "https://a.cloud/password-reset?code=1", None, f"of {DANA}")
    return vault.share("trial/mail", TRIAL, DANA, 24)


def everything(ledger: Ledger) -> str:
    with ledger.reading() as db:
        rows = {table.name: db.execute(select(table)).all() for table in metadata.sorted_tables if table.name != "people"}
    return str(rows)


def test_nothing_is_left_of_one_person_and_everything_of_the_others(either_ledger: Ledger, settings: Settings) -> None:
    ledger, token = either_ledger, fill(either_ledger, settings)
    people = people_of(ledger, settings)
    done = forget(ledger, people, DANA, key="kestrel.example", contact=True)
    assert done.first
    assert done.rows == {"effects": 2, "failed_signups": 1, "feedback": 1, "instances": 1, "share_links": 1, "vault": 1}
    left = everything(ledger)
    assert not any(word in left.lower() for word in ("dana.reedmark", "dana reedmark", "from d.", "code=1"))
    assert left.count("Robin Li") == 1
    assert left.count(ROBIN) == 4
    assert "Dana of another company" in left  # a name is looked for at their own company only
    assert "'text': 'theirs'" in left
    with ledger.reading() as db:
        kept = db.execute(select(effects.c.subject, effects.c.key).order_by(effects.c.number)).all()
        assert [key for _, key in kept] == ["mail.day-2", "mail.join", "mail.other", "mail.far"]
        assert db.execute(select(instances.c.admin).where(instances.c.host == "a.cloud")).scalar() == ids.erased(DANA)
        [link] = db.execute(select(share_links)).all()
        assert db.execute(select(vault_table)).all() == []  # the reset link that nobody came for
    assert link.to_email == ids.erased(DANA)
    with pytest.raises(Expired):
        Vault(ledger, settings.key()).open(token)
    assert forget(ledger, people, DANA, key="kestrel.example", contact=True) == Forgotten(first=False, rows={})


def test_the_file_of_the_ledger_does_not_hold_them_either(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    fill(ledger, settings)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"Dana.Reedmark" in stored
    forget(ledger, people_of(ledger, settings), DANA, key="kestrel.example", contact=True)
    ledger.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"Dana.Reedmark" not in stored
    assert ROBIN.encode() in stored


@pytest.mark.parametrize(("contact", "theirs"), [(True, True), (False, False), (None, False)])
def test_feedback_of_somebody_else_stays(ledger: Ledger, settings: Settings, contact: bool | None, theirs: bool) -> None:
    """Robin is not the admin; who does not know whether they are the contact goes by that."""
    fill(ledger, settings)
    forget(ledger, people_of(ledger, settings), ROBIN, key="kestrel.example", contact=contact)
    assert ("from D." not in everything(ledger)) is theirs


def test_somebody_at_a_free_mail_provider_is_the_key_of_their_rows(ledger: Ledger, settings: Settings) -> None:
    with ledger.writing() as db:
        row = {"domain": "mara@gmail.com", "subject": f"{ids.trial('mara@gmail.com')}/1.1", "since": NOW}
        db.execute(insert(waiting).values(row))
    done = forget(ledger, people_of(ledger, settings), "Mara@gmail.com", key="mara@gmail.com", contact=None)
    assert done.rows == {"waiting": 1}
    with ledger.reading() as db:
        assert db.execute(select(waiting.c.domain)).scalars().all() == [ids.erased("mara@gmail.com")]
        assert db.execute(select(waiting.c.subject)).scalar() == f"{ids.trial('mara@gmail.com')}/1.1"


def test_whoever_was_erased_gets_no_mail_until_they_come_back(ledger: Ledger, settings: Settings, sandbox: SandboxServer) -> None:
    mailer, people = Mailer(settings, ledger), people_of(ledger, settings)
    values = {"company": "Kestrel"}

    def sent(key: str, to: str) -> dict[str, str]:
        act = Mail(key=key, template="feedback", to=to, values=values)
        return mailer.carry_out(EffectBatch(subject=f"{TRIAL}/12345678.1", as_of=NOW, effects=(act,))).of(key).data

    forget(ledger, people, DANA, key="kestrel.example", contact=None)
    assert sent("a", DANA) == sent("b", ids.erased(DANA)) == {"held": "whom it is for was erased"}
    assert "subject" in sent("c", ROBIN)
    people.admit(DANA)
    assert "subject" in sent("d", DANA)
    assert len(sandbox.world.services["smtp"].to(DANA)) == 1


def forms_of(email: str, first: str, last: str) -> set[str]:
    """Everything by which somebody is known where it may stand at rest: the address and its spellings, as URLs have it, and what is made of it."""
    local, _, host = email.rpartition("@")
    made = next(usernames(email))
    spelt = {email, f"{local}+news@{host}", f"{local}%40{host}", f"{quote(local, safe='')}%40{host}"}
    called = f"{first} {last}"
    return {*spelt, local, made, f"{made}-2", called, called.lower(), called.upper(), last, last.lower(), last.upper(), last.swapcase()}


@pytest.mark.parametrize(
    ("email", "first", "last"),
    [
        ("dana.reedmark@kestrel.example", "Dana", "Reedmark"),
        ("Zoe+Trial@kestrel.example", "Zoë", "O'Hara-Quist"),
        ("j_lindqvist7@kestrel.example", "Jörg", "Lindqvist"),
        ("amara!okafor@kestrel.example", "Amara", "Okafor"),
        ("noor.el-sayed@gmail.com", "Noor", "El-Sayed"),
    ],
)
def test_a_second_look_finds_nothing_in_any_column_of_any_table(
    either_ledger: Ledger, settings: Settings, email: str, first: str, last: str
) -> None:
    """Every text and JSON column of every table is given the person in every form; afterwards none is there, and a second erasing finds nothing."""
    ledger, people = either_ledger, people_of(either_ledger, settings)
    people.load([email])
    people.learn({email.lower(): [f"{first} {last}", first, last]})
    key = "noor.el-sayed@gmail.com" if "gmail" in email else "kestrel.example"
    subject, forms = f"{ids.trial(key)}/12345678.1", forms_of(email, first, last)
    said = "; ".join(sorted(forms))
    left = {"people", "roster", "audit", "audit_head"}
    with ledger.writing() as db:
        for table in metadata.sorted_tables:
            if table.name in left:
                continue
            row: dict[str, Any] = {}
            for column in table.columns:
                kind = column.type.python_type if not isinstance(column.type, JSON) else dict
                if column.name == "subject":
                    row["subject"] = subject
                elif kind is dict:
                    row[column.name] = {
                        "username": next(usernames(email)),
                        "text": said,
                        "first_name": first,
                        "list": [email, {"to": email}],
                    }
                elif isinstance(column.type, String | Text):
                    room = getattr(column.type, "length", None) or 10_000
                    row[column.name] = (said if room > 200 else email)[:room] if room >= 120 and not column.primary_key else "x"
                elif column.nullable and not column.primary_key:
                    continue
                else:
                    other = NOW if isinstance(column.type, Utc) else NOW.date()
                    row[column.name] = {int: 1, bool: True, bytes: b"x", float: 1.0}.get(kind, other)
            db.execute(insert(table).values(row))
    before = scanned(ledger, left)
    assert {form for form in forms if form in before} == forms, "the search is not blind"
    assert forget(ledger, people, email, key=key, contact=True).anything
    after = scanned(ledger, left)
    assert {form for form in forms if form in after} == set()
    assert forget(ledger, people, email, key=key, contact=True) == Forgotten(first=False, rows={})
    assert people.find(email).names == ()  # type: ignore[union-attr]


def scanned(ledger: Ledger, left: set[str]) -> str:
    """All that stands in the tables, as text."""
    with ledger.reading() as db:
        rows = [list(row) for table in metadata.sorted_tables if table.name not in left for row in db.execute(select(table))]
    return json.dumps(rows, ensure_ascii=False, default=str)
