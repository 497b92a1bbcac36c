"""A new outside system touches two places: its effects in the domain, and its class in the activities. Nothing else is edited for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest

import activities
import domain.effects
import workflows
from activities.effects import outside_system
from activities.effects.table import page
from activities.effects.verify import known_systems, verify
from domain.effects import effect
from domain.upkeep import UpkeepInput
from store import effect_kinds
from tests.workflows.play import Play
from workflows.all import ALL

EFFECTS = '''
"""What is done on the fax machine."""
from domain.effects.effect import Effect


class FaxEffect(Effect, system="fax"):
    pass


class SendFax(FaxEffect, words="fax a letter"):
    text: str


class FillTray(FaxEffect, words="fill in {sheets} sheets"):
    sheets: int
'''
SYSTEM = '''
"""The fax machine: a folder of pages, each of which ends in the name of its effect. It loses the first answer."""
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import no_answer
from domain.effects.effect import Receipt
from domain.effects.fax import FillTray, SendFax
from domain.effects.reconcile import Thing


class Fax(OutsideSystem, name="fax", title="The fax machine"):
    def __init__(self, pages, ledger):
        self._pages, self._ledger = pages, ledger
        pages.mkdir(exist_ok=True)

    @classmethod
    def from_settings(cls, settings, ledger):
        return cls(settings.data_dir / "fax", ledger)

    def error(self, error):
        return no_answer("Fax", str(error)) if isinstance(error, OSError) else None

    def remote(self, ask, scope):
        for page in ask(lambda: sorted(self._pages.glob("*.page"))):
            yield Thing(kind="page", ref=page.name, mark=page.read_text().splitlines()[-1])

    def _sent(self, _fax, effect_id):
        found = (page for page in self._pages.glob("*.page") if page.read_text().splitlines()[-1] == str(effect_id))
        return next((Receipt(ref=page.name) for page in found), None)

    @carries_out(
        SendFax,
        act="fax.sent",
        probe=_sent,
        asks="Reads the last line of every page.",
        means="The effect's name on the last line.",
        window="Somebody takes the page away before the next try.",
        told="The page is there with its mark.",
        makes="page",
        mark=str,
    )
    def _send(self, fax, effect_id):
        page = self._pages / f"{len(list(self._pages.iterdir()))}.page"
        first = not list(self._pages.glob("*.page"))
        page.write_text(f"{fax.text}\\n{effect_id}")
        if first:
            raise OSError("the line was cut")
        return Receipt(ref=page.name)

    @carries_out(FillTray, act="tray.filled", asks="-", means="-", window="None.", told="not told: a tray has no memory")
    def _fill(self, tray, effect_id):
        return Receipt(data={"sheets": str(tray.sheets)})
'''
WORKFLOW = """
from temporalio import workflow

from domain.effects.fax import FillTray, SendFax
from domain.effects.slack import Post
from domain.upkeep import UpkeepInput
from workflows.upkeep import Upkeep


@workflow.defn
class Faxing(Upkeep):
    @workflow.run
    async def run(self, input: UpkeepInput) -> str:
        said = Post(key="slack.fax", channel=input.alerts_channel, text="A fax goes out.")
        made = await self.process.do(FillTray(key="tray", sheets=20), said, SendFax(key="fax", text="Dear all"))
        await self.process.settle()
        return made.of("fax").ref
"""


@pytest.fixture
def another_system(tmp_path: Path) -> Iterator[None]:
    """Three modules in folders of their own, beside ours; all that knows of them forgets them afterwards."""
    modules = {"domain.effects.fax": EFFECTS, "activities.fax": SYSTEM, "workflows.faxing": WORKFLOW}
    outside_system.systems()
    with ExitStack() as stack:
        for known in (effect.KINDS, effect_kinds.KINDS, outside_system._SYSTEMS):
            stack.enter_context(patch.dict(known))
        for package in (domain.effects, activities, workflows):
            stack.enter_context(patch.object(package, "__path__", [*package.__path__, str(tmp_path / package.__name__)]))
        for name, source in modules.items():
            folder, _, leaf = name.rpartition(".")
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{leaf}.py").write_text(source)
        ALL.append(import_module("workflows.faxing").Faxing)
        yield
        ALL.pop()
        for name in modules:
            folder, _, leaf = name.rpartition(".")
            delattr(sys.modules[folder], leaf)
            del sys.modules[name]


async def test_an_outside_system_is_its_effects_and_its_class(another_system: None, play: Play) -> None:
    workflow_id = await play.start("Faxing", UpkeepInput(policy=play.policy))
    assert await play.ended(workflow_id) == "0.page"
    # It happened once, although its answer was lost; what was asked for beside it did not wait.
    pages = sorted((play.settings.data_dir / "fax").glob("*.page"))
    rows = {row.key: row for row in play.ledger.effects(workflow=workflow_id)}
    assert [each.name for each in pages] == ["0.page"]
    assert {key: (row.system, row.act, row.summary, row.attempts) for key, row in rows.items()} == {
        "tray": ("fax", "tray.filled", "fill in 20 sheets", 1),
        "slack.fax": ("slack", "message.posted", "tell #cloud-trial-alerts: fax", 1),
        "fax": ("fax", "fax.sent", "fax a letter", 2),
    }
    # It goes alone, under its own name, once it has failed together with others; and each activity says what it does.
    assert await scheduled(play, workflow_id) == [
        ("effects", "fill in 20 sheets; fax a letter; tell #cloud-trial-alerts: fax"),
        ("fax", "fill in 20 sheets; fax a letter"),
    ]
    # It is verified both ways, and documented.
    assert "fax" in known_systems()
    [verified] = verify(play.settings, play.ledger, ("fax",))
    assert (verified.outcome.compared, verified.outcome.seen, verified.outcome.mismatches) == (1, 1, ())
    assert verified.outcome.untold == {"not told: a tray has no memory": 1}
    pages[0].write_text("Dear all\nsomebody/else")
    [verified] = verify(play.settings, play.ledger, ("fax",))
    assert [(one.what, one.kind, one.ref) for one in verified.outcome.mismatches] == [("changed", "page", "0.page")]
    assert "\n## The fax machine\n" in page()
    assert "| `fax.sent` | `SendFax` | Reads the last line of every page. (`activities/fax.py`: `_sent`) |" in page()


async def scheduled(play: Play, workflow_id: str) -> list[tuple[str, str]]:
    """The activities of a workflow, each with its summary."""
    handle = play.env.client.get_workflow_handle(workflow_id)
    found = []
    async for event in handle.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            [summary] = await play.env.client.data_converter.decode([event.user_metadata.summary])
            found.append((event.activity_task_scheduled_event_attributes.activity_type.name, summary))
    return found
