"""Why a message cannot be taken: in every stage, and in words that say what to do."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from domain.trial import decisions, refusals
from domain.trial.commands import Convert, Extend
from domain.trial.state import OPEN_TO_DECIDE, OPEN_TO_TERMINATE, Extension, Stage
from tests.domain.make import MONDAY, POLICY, with_figures

BEFORE = {Stage.TRIAGE, Stage.APPROVAL, Stage.WAITLISTED, Stage.PROVISIONING, Stage.HAND_OFF}
OVER = {Stage.REDIRECTED, Stage.DISQUALIFIED, Stage.DENIED, Stage.MOVED, Stage.TERMINATED, Stage.CONVERTED, Stage.ABANDONED}
CLOSING = {Stage.TEARDOWN, Stage.CONVERTING}


def why(act: str, stage: Stage) -> str | None:
    match act:
        case "extend":
            return refusals.refuse_extend(POLICY, stage, Extend(), None, MONDAY)
        case "convert":
            return refusals.refuse_convert(POLICY, stage, Convert(seats=10), MONDAY)
        case _:
            return refusals.refuse_terminate(stage)


def expected(act: str, stage: Stage) -> str | None:
    if stage in (OPEN_TO_TERMINATE if act == "terminate" else OPEN_TO_DECIDE):
        return None
    if stage is Stage.SIGNUP:
        return f"the signup is being routed this moment: ask again in a minute whether to {act}"
    if stage is Stage.DECIDING:
        return f"the trial's deadline is being decided this moment: ask again in a minute whether to {act}"
    if stage in CLOSING:
        return f"too late to {act}: the trial is in stage {stage.value}"
    if stage in OVER:
        return f"cannot {act}: the trial has ended ({stage.value})"
    return f"too early to {act}: the trial has not started (stage {stage.value}); you can terminate it, or answer its open task"


@pytest.mark.parametrize("act", ["extend", "convert", "terminate"])
@pytest.mark.parametrize("stage", list(Stage))
def test_each_stage_takes_or_refuses_each_decision(act: str, stage: Stage) -> None:
    assert why(act, stage) == expected(act, stage)


def test_every_stage_is_one_of_the_kinds() -> None:
    kinds: list[set[Stage]] = [{Stage.SIGNUP}, BEFORE, set(OPEN_TO_DECIDE), {Stage.DECIDING}, CLOSING, OVER]
    assert sorted(stage for kind in kinds for stage in kind) == sorted(Stage)
    assert OPEN_TO_TERMINATE == BEFORE | OPEN_TO_DECIDE


@pytest.mark.parametrize("act", ["extend", "convert"])
@pytest.mark.parametrize("stage", sorted(BEFORE))
def test_a_refusal_that_advises_to_terminate_means_it(act: str, stage: Stage) -> None:
    assert "you can terminate it" in (why(act, stage) or "")
    assert why("terminate", stage) is None


@pytest.mark.parametrize(("days", "taken"), [(None, True), (1, True), (90, True), (91, False), (0, False), (-5, False)])
def test_an_extension_has_a_bound(days: int | None, taken: bool) -> None:
    refused = refusals.refuse_extend(POLICY, Stage.ONBOARDING, Extend(days=days), None, MONDAY)
    assert refused == (None if taken else f"days must be from 1 to 90, not {days}; a longer free trial needs the deal desk")
    assert refusals.refuse_extend(with_figures(trial__max_extension_days=91), Stage.EXTENDED, Extend(days=91), None, MONDAY) is None


@pytest.mark.parametrize(
    ("day", "hours", "again", "taken"),
    [(3, 0, False, False), (3, 11 * 24, False, False), (3, 12 * 24, False, True), (3, 0, True, True),  # until the period is over
     (15, 0, False, False), (17, 0, False, False), (17, 23, False, False), (17, 24, False, True), (17, 1, True, True)],  # decided late
)  # fmt: skip
def test_two_extensions_of_one_period_are_one(day: int, hours: int, again: bool, taken: bool) -> None:
    """A trial that ends on day 15 is extended on ``day`` until day 30; ``hours`` later somebody extends it."""
    start = MONDAY
    last = Extension(
        by="ce@tenure.example", at=start + timedelta(days=day), before=start + timedelta(days=15), until=start + timedelta(days=30)
    )
    refused = refusals.refuse_extend(POLICY, Stage.EXTENDED, Extend(again=again), last, last.at + timedelta(hours=hours))
    assert (refused is None) is taken
    if refused:
        assert f"extended already by ce@tenure.example at {last.at:%Y-%m-%d %H:%M} UTC, until {last.until:%Y-%m-%d}" in refused
        assert "--again" in refused


def test_so_is_one_of_the_policy_and_the_figure_says_how_long() -> None:
    last = Extension(at=MONDAY, before=MONDAY, until=MONDAY + timedelta(days=15))
    assert "already by the policy" in (refusals.refuse_extend(POLICY, Stage.EXTENDED, Extend(), last, MONDAY + timedelta(hours=2)) or "")
    hour = with_figures(trial__again_hours=1)
    assert refusals.refuse_extend(hour, Stage.EXTENDED, Extend(), last, MONDAY + timedelta(hours=2)) is None


@pytest.mark.parametrize(("ends", "days", "taken"), [("2037-06-01", 90, True), ("2037-12-20", 90, False), ("2038-01-01", None, False)])
def test_no_extension_needs_a_key_that_the_licence_server_cannot_hold(ends: str, days: int | None, taken: bool) -> None:
    ends_at = datetime.fromisoformat(f"{ends}T12:00+00:00")
    for now in (MONDAY, ends_at):
        refused = refusals.refuse_extend(POLICY, Stage.EXTENDED, Extend(days=days), None, now, "self_serve", ends_at)
        assert (refused is None) is taken
        assert refused is None or "later than a licence key can say: choose a day up to 2038-01-" in refused


@pytest.mark.parametrize("seats", [None, 0, -1, 1_000_001])
def test_a_conversion_says_how_many_seats(seats: int | None) -> None:
    assert (
        refusals.refuse_convert(POLICY, Stage.ONBOARDING, Convert(seats=seats), MONDAY) == 'say how many seats were bought: {"seats": 200}'
    )


@pytest.mark.parametrize(
    ("end", "refused"),
    [
        (None, None),
        (date(2026, 3, 3), None),
        (date(2026, 3, 2), "contract_end 2026-03-02 is not in the future"),
        (date(2025, 3, 3), "contract_end 2025-03-03 is not in the future"),
    ],
)
def test_a_contract_ends_in_the_future(end: date | None, refused: str | None) -> None:
    assert refusals.refuse_convert(POLICY, Stage.EXTENDED, Convert(seats=1, contract_end=end), MONDAY) == refused


@pytest.mark.parametrize(
    "host", ["code.acme.com", " Code.Acme.COM ", "a.bc", "xn--bcher-kva.example", "code." + ".".join(["a" * 63] * 3) + ".com"]
)
def test_an_instance_moves_to_a_host(host: str) -> None:
    assert refusals.refuse_host(host, "src-1.cloud.tenure.example") is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "acme",
        "acme.",
        ".acme.com",
        "-acme.com",
        "acme-.com",
        "acme..com",
        "a_b.com",
        "acme.c",
        "acme.1a",
        "127.0.0.1",
        "https://code.acme.com",
        "code.acme.com/x",
        "code.acme.com:443",
        "a" * 64 + ".com",
        ".".join(["a" * 60] * 5) + ".com",
        "cödé.acme.com",
        "code.acme.com\nevil.example",
    ],
)
def test_what_is_no_host_is_refused_with_an_example(host: str) -> None:
    assert refusals.refuse_host(host, "src-1.cloud.tenure.example") == f'{host!r} is not a host name; send {{"new_host": "code.acme.com"}}'


def test_an_instance_is_not_moved_to_where_it_is() -> None:
    assert refusals.refuse_host(" Code.acme.com", "code.acme.com") == "the instance is at code.acme.com already"


@pytest.mark.parametrize(("by", "who"), [("carol@tenure.example", "carol@tenure.example"), ("", "the policy")])
def test_a_second_decision_is_told_of_the_first(by: str, who: Any) -> None:
    decision = decisions.by_person(POLICY, decisions.Course.EXTEND, by, "", MONDAY)
    assert refusals.already(decision) == f"already decided by {who} at 2026-03-02 09:00 UTC: extend; nothing was changed"
