"""What the models refuse and what they forgive: values are exact, messages of a newer version are read, state is checked."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from domain.decision import Fact
from domain.effects.effect import BatchResult, EffectBatch, Receipt
from domain.effects.slack import Post
from domain.messages import Contact
from domain.trial.commands import Extend
from domain.trial.state import Stage, TrialInput, TrialState
from tests.domain.make import ADA, MONDAY, POLICY, ce_request, started


def test_a_value_is_frozen_and_one_of_a_newer_version_is_read() -> None:
    fact = Fact(name="domain", value="acme.com", source="signup form", as_of=MONDAY)
    with pytest.raises(ValidationError, match="frozen"):
        fact.value = "other.com"  # type: ignore[misc]
    assert Fact.model_validate({**fact.model_dump(), "mood": "x"}) == fact


def test_a_policy_of_another_version_is_carried_on() -> None:
    """An entry that an old start lacks is the shipped one's; an entry that only a newer version knows is dropped."""
    raw = POLICY.model_dump(mode="json")
    del raw["trial"]["d15"]
    raw["trial"]["self_serve"]["base_days"] = 14
    raw["trial"]["self_serve"]["mood"] = "sunny"
    carried = TrialInput.model_validate({"domain": "acme.com", "policy": raw}).policy
    assert carried.trial.d15 == POLICY.trial.d15
    assert carried.trial.self_serve.base_days == 14


def test_a_message_of_a_newer_version_is_read() -> None:
    assert Extend.model_validate({"by": "carol@tenure.example", "mood": "sunny"}) == Extend(by="carol@tenure.example")
    assert TrialInput.model_validate({"domain": "acme.com", "policy": POLICY, "colour": "red"}).cycle == 1


def test_state_is_checked_when_it_is_set_and_survives_the_wire() -> None:
    state = started(period=2, done=["warning"], notes=["x"])
    with pytest.raises(ValidationError):
        state.stage = "gone fishing"  # type: ignore[assignment]
    assert TrialState.model_validate_json(state.model_dump_json()) == state
    assert state.stage is Stage.ONBOARDING


def test_two_trials_share_no_list() -> None:
    one, other = TrialState(), TrialState()
    one.notes.append("mine")
    assert other.notes == []


def test_the_key_of_an_effect_is_what_it_is_and_the_how_manieth() -> None:
    state = TrialState()
    keys = [state.next(what) for what in ("slack.reason", "slack.reason", "slack.band")]
    again = TrialState.model_validate_json(state.model_dump_json())
    assert [*keys, again.next("slack.reason")] == ["slack.reason.1", "slack.reason.2", "slack.band.1", "slack.reason.3"]


def test_the_name_of_a_person_is_never_empty() -> None:
    assert ADA.name == "Ada Admin"
    assert Contact(email="bob@acme.com").name == "bob"
    assert Contact(email="bob@acme.com", last_name="Builder").name == "Builder"


@pytest.mark.parametrize("wrong", [{"size": "huge"}, {"seats": 0}, {"company": ""}, {"ce": "x"}, {"success_criteria": "x" * 2_001}])
def test_a_request_of_a_ce_is_checked_before_it_is_sent(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ce_request(**wrong)


def test_an_effect_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValidationError, match="no effect is called 'Dance': this worker is of another version"):
        EffectBatch.model_validate({"subject": "trial-acme.com/0a1b2c3d.1", "as_of": MONDAY, "effects": [{"do": "Dance", "key": "k"}]})


def test_a_batch_crosses_the_wire_with_every_act_as_what_it_was() -> None:
    post = Post(key="slack.alert", channel="alerts", text="hello", mention=("ce@t.example",))
    batch = EffectBatch(subject="trial-acme.com/0a1b2c3d.1", as_of=MONDAY, effects=(post,))
    assert EffectBatch.model_validate_json(batch.model_dump_json()) == batch
    assert batch.model_dump(mode="json")["effects"][0]["do"] == "Post"


def test_a_receipt_is_found_by_its_key() -> None:
    receipts = BatchResult(receipts={"a": Receipt(ref="1")})
    assert receipts.of("a").ref == "1"
    with pytest.raises(KeyError):
        receipts.of("b")
