"""The comparison of the ledger with what was seen, without either: what counts, and what must not be called a mismatch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.effects.reconcile import Begun, Claim, OnRecord, Reconciled, Thing, Unseen, reconcile

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOLD = timedelta(minutes=2)


def claim(number: int, **changes: Any) -> Claim:
    said = {"number": number, "effect": f"trial-a/1.0/{number}", "act": "issue.created", "kind": "issue", "ref": "1"}
    return Claim.model_validate(said | changes)


def begun(number: int, ago: timedelta, **changes: Any) -> Begun:
    said = {"number": number, "effect": f"trial-a/1.0/{number}", "act": "row.kept", "begun_at": NOW - ago, "attempts": 1}
    return Begun.model_validate(said | changes)


def outcome(before: OnRecord, *seen: Thing | Unseen, after: OnRecord | None = None, workflows: tuple[str, ...] = ()) -> Reconciled:
    return reconcile("github", before, after or before, seen, at=NOW, hold=HOLD, workflows=workflows)


def whats(found: Reconciled) -> list[str]:
    return [one.what for one in found.mismatches]


def test_of_two_effects_on_one_thing_the_later_word_counts() -> None:
    record = OnRecord(claims=(claim(1, state={"archived": "no"}), claim(2, state={"archived": "yes"})))
    assert whats(outcome(record, Thing(kind="issue", ref="1", state={"archived": "yes"}))) == []
    (changed,) = outcome(record, Thing(kind="issue", ref="1", state={"archived": "no"})).mismatches
    assert (changed.what, changed.number, changed.detail) == ("changed", 2, "archived is no, on record yes")


def test_what_was_done_while_it_was_looked_at_is_neither_missing_nor_changed_nor_unknown() -> None:
    before = OnRecord(claims=(claim(1, state={"state": "open"}),))
    later = (claim(2, state={"state": "closed"}), claim(3, ref="2", mark="trial-a/1.0/3"))
    after = OnRecord(claims=(*before.claims, *later))
    seen = (Thing(kind="issue", ref="1", state={"state": "closed"}), Thing(kind="issue", ref="2", mark="trial-a/1.0/3"))
    assert whats(outcome(before, *seen, after=after)) == []
    assert whats(outcome(before, seen[0], after=after)) == [], "what was done after the look was not to be seen yet"


def test_a_thing_that_is_missing_is_said_once_with_all_that_stands_on_it() -> None:
    (missing,) = outcome(OnRecord(claims=(claim(1, mark="m"), claim(2), claim(3)))).mismatches
    assert (missing.what, missing.number) == ("missing", 1)
    assert "2 later effect(s) on it" in missing.detail


def test_a_thing_that_moved_is_changed_not_missing() -> None:
    found = outcome(OnRecord(claims=(claim(1, mark="m"),)), Thing(kind="issue", ref="9", mark="m", where="#9"))
    assert [(one.what, one.detail) for one in found.mismatches] == [("changed", "it is #9 now")]


def test_a_thing_that_was_listed_twice_is_no_duplicate() -> None:
    record, thing = OnRecord(claims=(claim(1, mark="m"),)), Thing(kind="issue", ref="1", mark="m")
    assert whats(outcome(record, thing, thing)) == []
    assert whats(outcome(record, thing, thing.model_copy(update={"id": "second"}))) == ["duplicate"]


def test_what_may_come_of_an_effect_under_way_is_not_unknown_and_of_one_that_was_left_it_is() -> None:
    thing = Thing(kind="row", ref="acme", mark="acme")
    assert whats(outcome(OnRecord(begun=(begun(1, timedelta(seconds=9), kinds=("row",)),)), thing)) == []
    assert whats(outcome(OnRecord(begun=(begun(1, timedelta(hours=1), kinds=("row",)),)), thing)) == ["unknown", "hanging"]


def test_what_could_not_be_looked_at_is_counted_not_missed() -> None:
    record = OnRecord(claims=(claim(1, ref="C1/5"), claim(2, ref="C2/6")), untold={"mail": 3})
    found = outcome(record, Unseen(kind="issue", under="C1/", why="closed", failed=True), Thing(kind="issue", ref="C2/6"))
    assert (found.compared, found.untold, found.failed, whats(found)) == (1, {"mail": 3, "closed": 1}, ("closed",), [])


def test_another_workflows_things_are_not_judged() -> None:
    record = OnRecord(claims=(claim(1, ref="1"), claim(2, ref="2", effect="trial-ab/1.0/x", mark="trial-ab/1.0/x")))
    seen = (Thing(kind="issue", ref="7", mark="trial-ab/1.0/other"), Thing(kind="issue", ref="8", mark="trial-a/1.0/other"))
    found = outcome(record, *seen, workflows=("trial-a",))
    assert [(one.what, one.ref) for one in found.mismatches] == [("missing", "1"), ("unknown", "8")]
