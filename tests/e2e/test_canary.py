"""Hundreds of marked names, addresses and notes go through the whole of a running stack, and none is found in what is not encrypted:

Temporal's database file, its raw histories, the logs of server, worker and web, and the metrics of all three. The same search finds what is
sent without the codec, so that it is not blind.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter

from domain import ids, policy
from domain.task import Answer
from starter.errors import TenureError
from starter.local.skip import skip
from starter.service.connect import connect
from starter.service.forms import JoinForm, SignupForm, TrialRequestForm
from starter.service.tenure import Tenure
from store.crypto.codec import data_converter
from store.ledger import Ledger
from store.registry import Registry
from store.settings import Settings
from store.tables import vault as kept
from store.vault import Vault, VaultError
from tests.rows import warm_hosts
from tests.starter.local.test_stack import free_offset, running_stack
from tests.workflows.play import eventually

#: Every mark begins so, and nothing else does.
MARK = re.compile(rb"zq\d{3}[a-z]+", re.IGNORECASE)
#: The mark that is sent without the codec, to see that the search finds it.
CONTROL = "zq999control"
STRANGERS = 40
PREQUALIFIED = ("borealis", "cobalt", "dune", "ember", "kestrel", "lumen")
CHECKS = ("core_use_case", "fits_size", "right_contact", "code_host_reachable", "accepts_cloud_security", "next_step_agreed")

_numbers = iter(range(999))


class Marked:
    """One person, all of whose texts are marked."""

    def __init__(self, domain: str) -> None:
        self.number = next(_numbers)
        self.domain = domain
        self.email = f"{self('mail')}@{domain}"

    def __call__(self, what: str) -> str:
        return f"Zq{self.number:03}{what}"

    @property
    def who(self) -> dict[str, str]:
        """As a form has it."""
        return {"email": self.email, "first_name": self("first"), "last_name": self("last")}


def found(data: bytes) -> set[str]:
    return {mark.decode().lower() for mark in MARK.findall(data)}


async def plant(tenure: Tenure, web: httpx.AsyncClient) -> list[Marked]:
    """Everything that people do, well and badly."""
    known = [Marked(f"{name}.example") for name in PREQUALIFIED]
    strangers = [Marked(f"stranger{number}.example") for number in range(STRANGERS)]
    beside = [Marked(f"{name}.example") for name in PREQUALIFIED[:3]] + [Marked("gmail.com") for _ in range(3)]

    async def sign_up(person: Marked) -> None:
        await tenure.signup(SignupForm(**person.who, company=f"Company of {person('company')}"))

    for group in (known, strangers, beside):
        for start in range(0, len(group), 8):
            await asyncio.gather(*(sign_up(person) for person in group[start : start + 8]))
    for person in strangers[:12]:
        answer = Answer(
            task="triage-1",
            choice="disqualify" if person.number % 2 else "qualify",
            by=person.email,
            checks=dict.fromkeys(CHECKS, True),
            note=person("note"),
        )
        with suppress(TenureError):
            await tenure.answer(f"{ids.trial(person.domain)}:triage-1", answer)
    for person in known[:4]:
        for days in (None, 900):  # refused by the service, and sent past it: taken once, refused once
            asked = {"by": person.email, "days": days, "reason": person("reason")}
            with suppress(TenureError):
                await tenure.act(person.domain, "extend", asked)
            with suppress(WorkflowUpdateFailedError):
                await tenure.client.get_workflow_handle(ids.trial(person.domain)).execute_update("extend", asked)
        await tenure.client.get_workflow_handle(ids.trial(person.domain)).signal("extend", {"days": person("signal")})
        await tenure.client.get_workflow_handle(ids.trial(person.domain)).signal(person("x").lower()[5:] or "x", person("unknown"))
    for person in (Marked("kestrel.example"), Marked("nowhere.example")):
        with suppress(TenureError):
            await tenure.join(JoinForm(**person.who))
        await tenure.failed_signup(SignupForm(**person.who), f"the form broke for {person.email}: {person('problem')}")
        with suppress(TenureError):
            form = TrialRequestForm(**person.who, company=person("co"), ce=person.email, success_criteria=person("criteria"))
            await tenure.request_trial(form)
    for path in ("/s/{}", "/u/{}", "/feedback/{}", "/api/trials/{}", "/console/trials/{}@x.example"):
        await web.get(path.format(Marked("x")("link") * 3))
    await web.post("/api/signups", json={"email": f"{Marked('x')('bad')}@@x"})
    await web.post("/codec/decode", content=Marked("x")("codec"))
    return [*known, *strangers, *beside]


async def raw_histories(client: Client) -> bytes:
    """All that the server gives away of every workflow, undecoded."""
    parts = []
    async for execution in client.list_workflows():
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        parts.append(execution.raw_info.SerializeToString())
        parts += [event.SerializeToString() async for event in handle.fetch_history_events()]
        with suppress(Exception):
            parts.append((await handle.describe()).raw_description.SerializeToString())
    return b"".join(parts)


def secrets_of(ledger: Ledger, settings: Settings) -> Iterator[bytes]:
    """Every reset link and licence key of the vault."""
    vault = Vault(ledger, settings.key())
    with ledger.reading() as db:
        refs = db.execute(select(kept.c.ref)).scalars().all()
    for ref in refs:
        with suppress(VaultError):
            yield vault.get(ref).encode()


async def opened(web: httpx.AsyncClient, sandbox: str, people: Sequence[Marked], keys: set[bytes]) -> None:
    """Add what opens something for these: the share links in their mails, and the reset links to which those lead when they are opened."""
    for person in people:
        mails = (await web.get(f"{sandbox}/_sandbox/mail", params={"to": person.email})).json()
        for token in {token for mail in mails for token in re.findall(r"/s/([\w-]{32})", mail["text"])}:
            if token.encode() not in keys:
                answer = await web.post(f"/s/{token}")
                keys |= {token.encode(), answer.headers.get("Location", token).encode()}


async def places(data: Path, client: Client, ready: Mapping[str, str], web: httpx.AsyncClient) -> dict[str, bytes]:
    """What is searched, by name."""
    asked = {"server": ready["metrics"], "worker": f"{ready['worker']}/metrics", "web": f"{ready['web_control']}/metrics"}
    metrics = {f"metrics {name}": (await web.get(url)).content for name, url in asked.items()}
    told = {f"log {name}": (data / "logs" / f"{name}.log").read_bytes() for name in ("temporal", "worker", "web")}
    files = {path.name: path.read_bytes() for path in data.glob("temporal.db*")}
    return told | files | metrics | {"histories": await raw_histories(client)}


@pytest.mark.long
async def test_no_mark_is_found_where_it_could_be_read(tmp_path: Path) -> None:
    offset = free_offset()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TENURE_"))}
    settings = Settings(_env_file=None, data_dir=tmp_path, port_offset=offset)
    with running_stack(tmp_path, offset, environment) as (_, ready):
        ledger = Ledger(settings.ledger_url)
        client = await connect(data_converter(settings, ledger), key=settings.way_in_key, address=ready["temporal"])
        tenure = Tenure(client, ledger, settings, policy.default())
        blind = await Client.connect(ready["temporal"], data_converter=pydantic_data_converter)

        async def ready_for_them() -> bool:
            known = [Registry(ledger).account_of(f"{name}.example") for name in PREQUALIFIED]
            return all(known) and ledger.current_cohort() is not None and len(warm_hosts(Registry(ledger))) >= 3

        await eventually(ready_for_them)
        async with httpx.AsyncClient(base_url=ready["web"], trust_env=False, timeout=60) as web:
            fault: dict[str, Any] = {"service": "smtp", "kind": "status", "times": 2}
            (await web.post(f"{ready['sandbox']}/_sandbox/faults", json=fault)).raise_for_status()
            people = await plant(tenure, web)
            for person in people[:3]:
                await skip(client, ids.trial(person.domain), timedelta(days=13))

            keys: set[bytes] = set()

            async def made() -> bool:
                await opened(web, ready["sandbox"], people[:6], keys)
                return len(keys) > 3 and any(True for _ in secrets_of(ledger, settings))

            await eventually(made)
            assert any(b"password-reset" in key for key in keys)
            await asyncio.sleep(2)  # what they were made for is on its way
            searched = await places(tmp_path, blind, ready, web)
            assert {name: found(data) for name, data in searched.items() if found(data)} == {}
            assert {name for name, data in searched.items() for key in keys if key in data} == set()
            keys |= set(secrets_of(ledger, settings))
            assert {name for name, data in searched.items() for key in keys if key in data} == set()

            # It is all there, and is found by whoever has the keys; and what is sent without them is found by everybody.
            status = (await tenure.trial(people[0].domain)).status
            assert status.contact.lower() == people[0].email.lower()
            assert len({mark for person in people for mark in found(f"{person.email} {person.who}".encode())}) > 120
            assert b"trial-borealis.example" in searched["histories"]
            assert b"StartWorkflowExecution" in searched["metrics server"]
            assert b'tenure_effects_total{outcome="done",system="slack"}' in searched["metrics worker"]
            assert b'tenure_request_seconds_count{method="POST",route="/api/signups"' in searched["metrics web"]
            await blind.get_workflow_handle(ids.trial(people[0].domain)).signal("nonsense", {"about": CONTROL})
            await asyncio.sleep(1)
            seen = {name for name, data in (await places(tmp_path, blind, ready, web)).items() if found(data) == {CONTROL}}
            assert "histories" in seen
            assert any(name.startswith("temporal.db") for name in seen)
        ledger.close()
