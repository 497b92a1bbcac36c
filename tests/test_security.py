"""Every test that SECURITY.md names exists; and matrices: every way of one kind against every promise of that kind."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from activities.tokens import sign
from starter.events import event_id
from starter.links import UNSUBSCRIBE
from tests.starter.web_fakes import CSRF, Site, site_in

ROOT = Path(__file__).parents[1]


def test_every_promise_names_a_test_that_there_is() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) >= 18
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, f"no test stands behind: {row[:80]}"
        for file, test in named:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {test or 'test_'}", source, re.MULTILINE), f"{file} has no {test}"


# --- Event ids are apart: by update, way in and caller, and nobody's to guess -----------------------------------------------------


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as made:
        yield made


SPACE = st.lists(st.text(max_size=20), min_size=1, max_size=6)


@given(SPACE, SPACE, st.text(min_size=1), st.text(min_size=1), st.binary(min_size=1))
def test_an_event_id_is_one_requests_alone(space: list[str], other: list[str], given_id: str, another: str, key: bytes) -> None:
    made = event_id(key, given_id, *space)
    assert made == event_id(key, given_id, *space)
    assert made != given_id
    assert (made == event_id(key, another, *other)) is ((space, given_id) == (other, another))
    assert made != event_id(key + b"x", given_id, *space)
    assert re.fullmatch("[0-9a-f]{40}", made)
    assert event_id(key, "", *space) != event_id(key, "", *space)


async def test_the_same_key_by_another_way_in_caller_action_or_workflow_is_another_event(site: Site) -> None:
    """A stranger's ``Idempotency-Key: opt-out`` is not the event of the unsubscribe link."""
    events: list[str] = []

    def last(name: str) -> str:
        event = str(site.tenure.of(name)[-1][-1])
        events.append(event)
        return event

    keyed = {"Idempotency-Key": "opt-out"}
    for domain in ("acme.com", "globex.com"):
        for act in ("new-link", "extend", "request-feedback"):
            for client, body in ((site.http, {"by": "ce.one@tenure.example"}), (site.signed_in("ce.one@tenure.example"), {})):
                answer = await client.post(f"/api/trials/{domain}/{act}", json=body, headers=keyed)
                assert answer.status_code == 200, answer.text
                first = last("act_on")
                await client.post(f"/api/trials/{domain}/{act}", json=body, headers=keyed)
                assert last("act_on") == events.pop() == first
        await site.plain.post(f"/u/{sign(site.settings.key(), UNSUBSCRIBE, f'trial-{domain}')}")
        last("act_on")
    for email in ("sdr@tenure.example", "sdr.one@tenure.example"):
        form = {"task": "trial-acme.com:triage-1", "event": "opt-out", "choice": "qualified", "csrf": CSRF}
        await site.signed_in(email).post("/console", data=form)
        last("answer")
        await site.signed_in(email).post("/api/tasks/trial-acme.com:triage-1/answer", json={"choice": "qualified"}, headers=keyed)
        last("answer")
    assert len(set(events)) == len(events) == 2 * (3 * 2 + 1) + 2 * 2
    assert not {"opt-out", ""} & set(events)


async def test_no_event_id_of_ours_can_be_written_by_hand(site: Site) -> None:
    """Whatever a way in is given, the workflow and the audit get an id that our key made."""
    given_ids = ("opt-out", "new-link-0123456789ab", "adopt-abc-def", "click-1")
    for each in given_ids:
        body = {"by": "ce.one@tenure.example"}
        await site.http.post("/api/trials/acme.com/new-link", json=body, headers={"Idempotency-Key": each})
    used = {str(call[-1]) for call in site.tenure.of("act_on")}
    assert len(used) == len(given_ids)
    assert not used & set(given_ids)
    assert {row.event for row in site.audited() if row.outcome == "accepted"} == used
