"""A decision that a package of its own declares: everything by which it is decided is there, and no file of ours was touched."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from temporalio.workflow import _Definition

from domain import commands, provenance, rights, rights_page
from domain.all import every
from starter.cli.app import app
from starter.cli.lazy import loaded
from starter.web.api_docs import grouped
from tests.starter.web_fakes import site_in

PACKAGE = '''
from typing import Literal

from pydantic import Field
from temporalio import workflow

from domain.amounts import Typed
from domain.base import Message
from domain.commands import TRIAL, By, Command, Note
from domain.rights import ANY, Group
from workflows.frame.handlers import decides


class Postpone(Message):
    """The trial begins later."""

    by: By = ""
    days: Typed = Field(ge=1, le=30, description="By how many days.")
    because: Literal["holidays", "staff"] = "staff"
    reason: Note = ""


POSTPONE = Command(
    "postpone",
    TRIAL,
    Postpone,
    words="postpone a trial",
    rights={Group.CE: ANY, Group.OPS: ANY},
    summary="Postpone the trial",
    doc="It begins so many days later.",
    example={"by": "ce.one@tenure.example", "days": 3, "reason": "nobody is there"},
)


@workflow.defn
class Postponed:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.days = 0

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self.days > 0)

    @decides(POSTPONE, lambda self, _: "it is postponed already" if self.days else None)
    async def postpone(self, message: Postpone) -> str:
        self.days = message.days
        return f"postponed by {message.days} days"
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "postponing").mkdir()
    (tmp_path / "postponing" / "__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        yield importlib.import_module("postponing")
    finally:
        commands.NAMED.pop("postpone", None)
        rights.RIGHTS.pop("postpone", None)
        sys.modules.pop("postponing", None)


async def test_it_has_a_route_with_its_body_and_its_problems(package: ModuleType, tmp_path: Path) -> None:
    async with site_in(tmp_path / "site") as site:
        answer = await site.http.post("/api/trials/acme.com/postpone", json=dict(package.POSTPONE.example))
        assert (answer.status_code, answer.json()) == (200, {"done": "postpone done"})
        ((workflow_id, name, message, _),) = site.tenure.of("act_on")
        assert (workflow_id, name, message.days, message.because) == ("trial-acme.com", "postpone", 3, "staff")
        assert isinstance(message, package.Postpone)
        for wrong in ({"dayz": 3}, {"days": 31}, {"days": 3, "because": "rain"}):
            assert (await site.http.post("/api/trials/acme.com/postpone", json=wrong)).status_code == 422
        may_not = await site.signed_in("sdr@tenure.example").post("/api/trials/acme.com/postpone", json={"days": 3})
        assert may_not.status_code == 403
        assert "may not postpone a trial. These may: CE (any), ops (any)" in may_not.text
        (route,) = (each for each in grouped(site.app.openapi())["trials"] if each.path.endswith("/postpone"))
        assert (route.operation["summary"], route.operation["description"]) == ("Postpone the trial", "It begins so many days later.")
        assert {"200", "401", "403", "404", "409", "422", "503"} <= set(route.operation["responses"])
        assert '"days": 3' in route.example


def test_it_has_a_command_with_its_options(package: ModuleType) -> None:
    program: Any = typer.main.get_command(app)
    command = loaded(program.commands["trial"]).commands["postpone"]
    assert (command.help or "").startswith("Postpone the trial.")
    options = {option: param for param in command.params for option in param.opts}
    assert set(options) >= {"--days", "--because", "--reason", "--by", "--event-id", "--json"}
    assert (options["--days"].required, options["--reason"].required, options["--because"].default) == (True, False, "staff")


def test_it_has_a_form_for_a_page_or_a_modal(package: ModuleType) -> None:
    days, because, reason = package.POSTPONE.fields()
    assert (days.name, days.label, days.kind, days.required, days.help) == ("days", "Days", "number", True, "By how many days.")
    assert (because.kind, because.choices, because.default, because.required) == ("choice", ("holidays", "staff"), "staff", False)
    assert (reason.kind, reason.longest) == ("long", 2_000)


def test_it_has_its_row_of_rights_and_its_line_on_the_audit(package: ModuleType) -> None:
    assert "| postpone a trial | – | any | – | – | – | – | any | – |" in rights_page.page()
    assert "postpone" in provenance.DECISIONS
    said = {"by": "ce@tenure.example", "days": 3, "because": "holidays", "reason": "Dana is away"}
    assert provenance.described("postpone", said) == "postpone days 3 because holidays"
    sealed = [provenance.sealed("trial-acme.com", "postpone", "e", [{**said, **other}]) for other in ({}, {"reason": "x"}, {"days": 4})]
    assert sealed[0] == sealed[1] != sealed[2]


def test_its_workflow_takes_it_as_an_update_that_is_checked_and_as_a_signal(package: ModuleType) -> None:
    definition = _Definition.must_from_class(package.Postponed)
    assert definition.updates["postpone"].validator is not None
    assert "postpone" in definition.signals


def test_a_name_is_declared_once_for_each_process(package: ModuleType) -> None:
    with pytest.raises(ValueError, match="Trial takes 'postpone' already"):
        replace(package.POSTPONE)
    assert [each for each in every() if each.name == "postpone"] == [package.POSTPONE]


@pytest.mark.parametrize("command", [each for each in every() if each.offered], ids=lambda each: f"{each.of.workflow}.{each.name}")
def test_every_decision_of_ours_is_told_whole(command: commands.Command[Any]) -> None:
    """Its example is taken and decides something; words, summary and what comes of it are there, and every field is explained."""
    assert command.message.model_validate(dict(command.example))
    assert all((command.words, command.summary, command.doc, command.handbook))
    assert [field.name for field in command.fields() if not field.help] == []
    assert set(command.takes) | set(command.needs) | set(command.unasked) <= set(command.message.model_fields)
