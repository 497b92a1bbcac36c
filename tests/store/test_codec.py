"""What goes to Temporal and comes back: the same, unreadable in between, and without a person once they were erased."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Row, event
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, WorkflowSerializationContext
from temporalio.exceptions import ApplicationError

from domain import ids
from domain.messages import Contact, Signup
from domain.policy import default
from store.crypto.codec import ENCODING, Codec
from store.crypto.key_ring import Key, KeyRing, Unreadable
from store.crypto.person_keys import PersonKeys
from store.ledger import Ledger

DANA = Contact(email="Dana.Reed@kestrel.example", first_name="Dana", last_name="Reed")
SECRET = "a secret of the tests"


def ring_of(*keys: Key) -> KeyRing:
    return KeyRing(",".join(key.text() for key in keys), Path("unused"))


def key(name: str) -> Key:
    return Key(name, name.encode().ljust(32, b"."))


def codec_of(ledger: Ledger, *keys: Key, fresh: float = 30.0) -> Codec:
    ring = ring_of(*(keys or (key("one"),)))
    return Codec(ring, PersonKeys(ledger, ring, lambda: SECRET, fresh), "tenure.example")


@pytest.fixture
def codec(ledger: Ledger) -> Codec:
    return codec_of(ledger)


def converter(codec: Codec) -> DataConverter:
    failures = DefaultFailureConverterWithEncodedAttributes
    return dataclasses.replace(pydantic_data_converter, payload_codec=codec, failure_converter_class=failures)


def within(codec: Codec, workflow: str = "trial-kestrel.example") -> DataConverter:
    return converter(codec).with_context(WorkflowSerializationContext(namespace="default", workflow_id=workflow))


async def sent(converter: DataConverter, *values: Any) -> list[Payload]:
    return await converter.encode(values)


# --- There and back -------------------------------------------------------------------------------------------------------------


async def test_what_comes_back_is_what_was_sent_and_nothing_of_it_is_seen_between(codec: Codec) -> None:
    payloads = await sent(within(codec), DANA, "a mail to Dana", {"carried": default().model_dump(mode="json")}, None, b"bytes")
    for payload in payloads:
        assert payload.metadata == {"encoding": ENCODING, "key-id": b"one"}
        assert not any(word in payload.SerializeToString() for word in (b"Dana", b"Reed", b"kestrel", b"json", b"trial"))
    contact, words, policy, nothing, data = await within(codec).decode(payloads, [Contact, str, dict, type(None), bytes])
    assert (contact, words, nothing, data) == (DANA, "a mail to Dana", None, b"bytes")
    assert policy == {"carried": default().model_dump(mode="json")}


async def test_a_long_text_is_compressed_and_the_same_text_never_looks_the_same(codec: Codec) -> None:
    [first, second] = await sent(converter(codec), "word " * 1_000, "word " * 1_000)
    assert len(first.data) < 200
    assert first.data != second.data


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(
    [
        "dana@kestrel.example",
        "Dana",
        "Reed",
        "Dana Reed",
        "\n",
        "\ue000",
        "\ue001",
        "\ue0000.0\ue001",
        "\\",
        '"',
        "ce@tenure.example",
        "ö",
        " ",
    ]
)
SPICED = st.lists(WORDS | st.text(max_size=3), max_size=8).map("".join)
PEOPLED = st.fixed_dictionaries(
    {"email": st.sampled_from(["dana@kestrel.example", "o'neill+x@b.co.uk", "ce@tenure.example", "dana@münchen.example", "none"])},
    optional={"first_name": SPICED, "last_name": SPICED, "note": SPICED, "more": JSON, "Dana": SPICED, "stage": st.just("Dana")},
)


@examples(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON | PEOPLED | st.lists(PEOPLED | SPICED, max_size=3))
@example(value=[{"email": "dana@kestrel.example", "first_name": "ö\ue000"}])
@example(value=[{"email": "dana@kestrel.example", "first_name": "\ue001Dana"}, "\ue000Dana", "\ue000\ue001Dana"])
@example(value=[{"email": "dana@kestrel.example", "first_name": "\ue0000.0\ue001Dana"}, "0.0\ue001Dana"])
async def test_any_json_comes_back_byte_for_byte(codec: Codec, value: Any) -> None:
    [plain] = pydantic_data_converter.payload_converter.to_payloads([value])
    bound = within(codec).payload_codec
    assert bound is not None
    [back] = await bound.decode(await bound.encode([plain]))
    assert back == plain


async def test_what_is_not_encrypted_passes_through(codec: Codec) -> None:
    """Histories of before, and what somebody sends without a key."""
    before = pydantic_data_converter.payload_converter.to_payloads([DANA, "words"])
    assert await codec.decode(before) == before


async def test_an_error_and_its_stack_trace_are_encrypted(codec: Codec) -> None:
    with pytest.raises(ApplicationError) as raised:
        raise ApplicationError(f"{DANA.email} is refused", DANA, type="Refused")
    failure = Failure()
    await within(codec).encode_failure(raised.value, failure)
    assert (failure.message, failure.stack_trace, failure.application_failure_info.type) == ("Encoded failure", "", "Refused")
    assert b"kestrel" not in failure.SerializeToString()
    again = await within(codec).decode_failure(failure)
    assert isinstance(again, ApplicationError)
    assert (again.message, again.details[0]) == (f"{DANA.email} is refused", DANA.model_dump())


# --- Keys -----------------------------------------------------------------------------------------------------------------------


async def test_after_a_rotation_old_and_new_are_read_and_the_new_key_encrypts(ledger: Ledger) -> None:
    [old] = await sent(within(codec_of(ledger, key("one"))), DANA)
    rotated = codec_of(ledger, key("two"), key("one"))
    assert await within(rotated).decode([old], [Contact]) == [DANA]
    [new] = await sent(within(rotated), DANA)
    assert new.metadata["key-id"] == b"two"
    assert rotated.people.rewrap() == 1
    assert await within(codec_of(ledger, key("two"))).decode([new], [Contact]) == [DANA]


async def test_an_unknown_key_says_what_to_set(ledger: Ledger) -> None:
    [payload] = await sent(converter(codec_of(ledger, key("one"))), "words")
    with pytest.raises(Unreadable, match=r"'one' is not on the ring \(it has: two\); add it to TENURE_PAYLOAD_KEYS as ID:KEY"):
        await converter(codec_of(ledger, key("two"))).decode([payload])


async def test_another_key_of_the_same_id_opens_nothing(ledger: Ledger) -> None:
    [payload] = await sent(converter(codec_of(ledger, key("one"))), "words")
    with pytest.raises(Unreadable, match="not encrypted with the key 'one' of this ring"):
        await converter(codec_of(ledger, Key("one", b"x" * 32))).decode([payload])


@pytest.mark.parametrize("at", [0, 12, 20, -1])
async def test_one_bit_flipped_is_seen(codec: Codec, at: int) -> None:
    [payload] = await sent(converter(codec), "words")
    data = bytearray(payload.data)
    data[at] ^= 1
    with pytest.raises(Unreadable):
        await converter(codec).decode([Payload(metadata=payload.metadata, data=bytes(data))])


async def test_a_payload_under_the_name_of_another_key_is_seen(ledger: Ledger) -> None:
    """Both names have the same bytes here, so that only the name tells them apart."""
    codec = codec_of(ledger, Key("one", b"x" * 32), Key("two", b"x" * 32))
    [payload] = await sent(converter(codec), "words")
    with pytest.raises(Unreadable):
        await converter(codec).decode([Payload(metadata={**payload.metadata, "key-id": b"two"}, data=payload.data)])


def test_the_kept_ring_is_the_owners_alone_and_a_running_process_sees_a_rotation(tmp_path: Path) -> None:
    running, command = (KeyRing("", tmp_path / "payload.keys", look_again=0) for _ in range(2))
    before = running.newest
    assert command.newest == before
    assert (tmp_path / "payload.keys").stat().st_mode & 0o777 == 0o600
    new = command.rotate()
    assert running.keys == (new, before)
    assert (tmp_path / "payload.keys").stat().st_mode & 0o777 == 0o600
    sure = KeyRing("", tmp_path / "payload.keys", look_again=3_600)
    assert sure.newest == new
    newer = command.rotate()
    assert sure.newest == new  # it trusts what it has read, and looks again for a key that it does not know
    assert sure.find(newer.id) == newer


@pytest.mark.parametrize("text", ["one", "one:abc", "one:" + "A" * 44, f"a b:{'A' * 43}=", f"{key('one').text()},{key('one').text()}"])
def test_a_wrong_ring_is_named_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be ID:KEY|same id") as refused:
        KeyRing(text, Path("unused"))
    assert "AAAA" not in str(refused.value)


# --- One person -----------------------------------------------------------------------------------------------------------------


async def test_who_was_erased_is_gone_from_what_was_sent_before_and_the_rest_stays(codec: Codec, ledger: Ledger) -> None:
    signup = Signup(contact=DANA, company="Kestrel", at=datetime(2026, 1, 1, tzinfo=UTC))
    here = within(codec)
    payloads = await sent(here, signup, "Dana Reed of Kestrel\nasks ce@tenure.example", {"stage": "open", "Dana": "New"})
    assert codec.people.erase(DANA.email) == ("Dana Reed", "Dana", "Reed")
    read, words, rest = await within(codec_of(ledger)).decode(payloads, [Signup, str, dict])
    stand_in = ids.erased(DANA.email)
    assert read.contact == Contact(email=stand_in, first_name="(erased)", last_name="(erased)")
    assert read.company == "Kestrel"
    assert words == "(erased) of Kestrel\nasks ce@tenure.example"
    assert rest == {"stage": "open", "Dana": "New"}
    assert codec.people.erase(DANA.email) is None


async def test_what_a_running_workflow_still_remembers_is_sent_without_them(codec: Codec) -> None:
    here = within(codec)
    await sent(here, DANA)
    codec.people.erase(DANA.email)
    [payload] = await sent(here, DANA)
    [again] = await here.decode([payload], [Contact])
    assert again.email == ids.erased(DANA.email)
    codec.people.admit(DANA.email)  # they sign up again: what is sent from now on is theirs, what was erased stays so
    [newer] = await sent(here, DANA)
    assert await here.decode([payload, newer], [Contact, Contact]) == [again, DANA]


async def test_ids_that_follow_from_an_address_are_the_same_for_what_stands_for_it(codec: Codec) -> None:
    stand_in = ids.erased(DANA.email)
    assert ids.join("kestrel.example", stand_in) == ids.join("kestrel.example", DANA.email)
    assert ids.trial(ids.erased("dana@gmail.com")) == ids.trial("dana@gmail.com")
    assert ids.erased(stand_in) == stand_in
    [payload] = await sent(within(codec), stand_in)
    assert codec.people.find(stand_in) is None
    assert await within(codec).decode([payload], [str]) == [stand_in]


async def test_a_name_is_found_where_its_workflow_met_the_person_also_by_a_process_that_began_later(codec: Codec, ledger: Ledger) -> None:
    payloads = await sent(within(codec), DANA)
    later = within(codec_of(ledger))
    await later.decode(payloads)
    summary = await sent(later, "welcome mail to Dana")
    codec.people.erase(DANA.email)
    assert await within(codec_of(ledger)).decode(summary, [str]) == ["welcome mail to (erased)"]


async def test_our_own_staff_have_no_keys(codec: Codec) -> None:
    await sent(within(codec), {"email": "ce-ada@tenure.example", "name": "Ada"}, "ae@eu.tenure.example")
    assert codec.people.find("ce-ada@tenure.example") is None
    assert codec.people.find("ae@eu.tenure.example") is None


async def test_another_process_sees_an_erasure_when_what_it_knows_is_no_longer_fresh(ledger: Ledger) -> None:
    worker, command = codec_of(ledger, fresh=0.3), codec_of(ledger)
    payloads = await sent(within(worker), DANA)
    command.people.erase(DANA.email)
    assert await within(worker).decode(payloads, [Contact]) == [DANA]
    time.sleep(0.4)
    [read] = await within(worker).decode(payloads, [Contact])
    assert read.email == ids.erased(DANA.email)


@pytest.fixture
def statements(ledger: Ledger) -> list[str]:
    seen: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *about: seen.append(about[2]))
    return seen


async def test_for_whom_it_knows_the_database_is_not_asked(codec: Codec, statements: list[str]) -> None:
    payloads = await sent(within(codec), DANA)
    statements.clear()
    for _ in range(3):
        payloads = await sent(within(codec), DANA, "a word to Dana")
        await within(codec).decode(payloads)
    assert statements == []


async def test_a_new_persons_key_and_names_are_one_write(codec: Codec, statements: list[str]) -> None:
    await sent(within(codec), DANA)
    assert [said.split()[0] for said in statements if not said.startswith("BEGIN")] == ["SELECT", "INSERT"]
    found = codec.people.find(DANA.email)
    assert found is not None
    assert set(found.names) == {f"{DANA.first_name} {DANA.last_name}", DANA.first_name, DANA.last_name}


async def test_two_processes_that_meet_a_person_at_once_use_one_key(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = codec_of(ledger), codec_of(ledger)
    read, looked_before = second.people._newest, [dict[str, Row[Any]]()]
    payloads = await sent(within(first), DANA)
    monkeypatch.setattr(second.people, "_newest", lambda whos: looked_before.pop() if looked_before else read(whos))
    assert await within(second).decode(await sent(within(second), DANA), [Contact]) == [DANA]
    ours, theirs = first.people.find(DANA.email), second.people.cached([DANA.email.lower()])
    assert ours is not None
    assert theirs is not None
    assert ours.key is not None
    assert theirs[DANA.email.lower()].ref == ours.ref
    assert await within(second).decode(payloads, [Contact]) == [DANA]


async def test_one_person_whose_names_never_end_costs_no_write_each_time(codec: Codec, statements: list[str]) -> None:
    for number in range(40):
        await sent(within(codec), DANA.model_copy(update={"first_name": f"Dana{number:02}"}))
    statements.clear()
    await sent(within(codec), DANA.model_copy(update={"first_name": "Another"}))
    assert statements == []


def test_a_person_is_told_apart_by_a_keyed_hash(ledger: Ledger) -> None:
    """Whoever reads the table cannot try addresses out."""
    ring = ring_of(key("one"))
    assert PersonKeys(ledger, ring, lambda: "x").who("a@b.example") != PersonKeys(ledger, ring, lambda: "y").who("A@b.example")
    assert PersonKeys(ledger, ring, lambda: "x").who("a@b.example") == PersonKeys(ledger, ring, lambda: "x").who("A@B.example ")


async def test_nothing_of_a_person_stands_in_the_table(codec: Codec, ledger: Ledger, tmp_path: Path) -> None:
    await sent(within(codec), DANA)
    ledger.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"people_once" in stored
    assert not any(word in stored.lower() for word in (b"dana", b"reed", b"kestrel"))
