"""What is sent straight to Temporal, as the Web UI and `temporal` do, stands on the audit: carried out or refused, and whom it named."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.workflow import _Definition

from activities.audit import Audit, AuditRow
from activities.direct import UNCHECKED
from domain import ids
from domain.direct import DECISIONS
from tests.workflows.play import Play, eventually
from tests.workflows.test_trial import prequalified
from workflows.all import ALL

CE = "ce-ada@tenure.example"


#: What programs send, and prospects: no decision of anybody's.
NO_DECISIONS = {
    "capacity_freed",
    "facts",
    "issue_event",
    "join",
    "plan_ended",
    "plan_reviewed",
    "reason",
    "red_ended",
    "rehosted",
    "renewal_ended",
    "signup",
}


def test_every_message_of_every_workflow_is_a_decision_or_named_as_none() -> None:
    definitions = [definition for each in ALL if (definition := _Definition.from_class(each)) is not None]
    names = {name for each in definitions for name in (*each.signals, *each.updates) if name}
    assert len(definitions) == len(ALL)
    assert names == DECISIONS | NO_DECISIONS
    assert not DECISIONS & NO_DECISIONS


async def rows(play: Play, domain: str, number: int) -> list[AuditRow]:
    """What the audit has of a trial, once it is so much."""

    async def look() -> list[AuditRow] | None:
        found = Audit(play.ledger, [play.settings.vendor_domain]).rows(subject=ids.trial(domain))
        return found if len(found) >= number else None

    found = await eventually(look)
    assert found is not None
    assert len(found) == number
    return found


def told(found: Iterable[AuditRow]) -> list[tuple[str, str, str]]:
    return [(row.who, row.what, row.outcome) for row in found]


async def test_a_decision_sent_straight_to_temporal_is_on_the_audit(play: Play) -> None:
    domain, _ = await prequalified(play)
    handle = play.straight.get_workflow_handle(ids.trial(domain))
    await handle.execute_update("extend", {"days": 15, "by": CE, "reason": "Cy asked for it"}, id="click-1")
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("extend", {"days": 400, "by": CE})
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("convert", "nonsense")
    found = await rows(play, domain, 3)
    assert told(found) == [(CE, "extend days 15", "accepted"), (CE, "extend days 400", "refused"), ("nobody", "convert", "refused")]
    assert {(row.via, row.rule, row.role) for row in found} == {("temporal", UNCHECKED, "")}
    assert found[0].event == "click-1"
    assert "Cy" not in str(found)
    assert found[1].reason
    assert Audit(play.ledger, []).verify().ok


async def test_so_is_a_signal_whether_it_could_be_taken_or_not(play: Play) -> None:
    domain, _ = await prequalified(play)
    handle = play.straight.get_workflow_handle(ids.trial(domain))
    await handle.signal("extend", {"days": "soon", "by": CE})
    await rows(play, domain, 1)
    await handle.signal("opt_out", {"by": "someone@elsewhere.example"})
    await rows(play, domain, 2)
    await handle.signal("rehosted", 7)  # no decision: programs send it
    await handle.signal("terminate", {"by": CE})
    found = await rows(play, domain, 3)
    hidden = ids.digest("someone@elsewhere.example")
    assert told(found) == [(CE, "extend", "refused"), (hidden, "opt_out", "accepted"), (CE, "terminate", "accepted")]
    assert "days" in found[0].reason


async def test_what_comes_by_our_own_way_in_is_noted_there_and_not_again(play: Play) -> None:
    domain, _ = await prequalified(play)
    await play.update(domain, "extend", {"days": 15, "by": CE})
    await play.signal(domain, "request_feedback", {"by": CE})
    await play.refused(domain, "extend", {"days": 400, "by": CE})
    await play.straight.get_workflow_handle(ids.trial(domain)).signal("opt_out", {"by": CE})
    assert told(await rows(play, domain, 1)) == [(CE, "opt_out", "accepted")]


async def test_no_sign_stops_a_trial_or_its_audit(play: Play) -> None:
    """JSON can hold a sign that PostgreSQL does not take."""
    sign = "\x00"
    domain, _ = await prequalified(play)
    raw = json.dumps({"days": 15, "by": f"ce-{sign}@tenure.example", "reason": sign, "to": sign}).encode()
    await play.straight.get_workflow_handle(ids.trial(domain)).signal(
        "extend", RawValue(Payload(metadata={"encoding": b"json/plain"}, data=raw))
    )
    found = await rows(play, domain, 1)
    assert found[0].who == "ce-\ufffd@tenure.example"
    assert found[0].what == "extend days 15 to \ufffd"
    await play.status(domain)
