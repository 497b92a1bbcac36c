"""What lists and pages show, as data: every path leads somewhere in the type that is shown."""

from __future__ import annotations

from dataclasses import is_dataclass
from string import Formatter
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from activities.effects.verify import Verified
from domain.account.account import RenewalRow
from domain.account.get_well import PlanStatus
from domain.account.lifecycle import AccountStatus
from domain.account.red import RedStatus
from domain.effects.reconcile import Mismatch
from domain.forecast.comparison import Kept
from domain.forecast.rollup import Line
from domain.policy import Entry
from domain.renewal.state import RenewalStatus
from domain.trial.adoption import Difference
from domain.views import TrialStatus
from starter.cli import parts, texts
from starter.cli.base import emit
from starter.service.deployments import Build
from starter.service.policy_adoption import Adoption
from starter.service.views import AccountOverview, CustomerLine, TrialRow
from store.access import ServiceToken
from store.audit import AuditRow
from store.ledger import EffectRow

#: What is shown; of the others each row is made beside its page.
SHOWN: dict[tuple[str, str], Any] = {
    ("lists", "customers"): CustomerLine,
    ("lists", "renewals"): RenewalRow,
    ("lists", "open_renewals"): Line,
    ("lists", "kept"): Kept,
    ("lists", "trials"): TrialRow,
    ("lists", "effects"): EffectRow,
    ("lists", "mismatches"): Mismatch,
    ("lists", "systems"): Verified,
    ("lists", "audit"): AuditRow,
    ("lists", "tokens"): ServiceToken,
    ("lists", "builds"): Build,
    ("lists", "figures"): Entry,
    ("lists", "differences"): Difference,
    ("lists", "adoptions"): Adoption,
    ("facts", "trial"): TrialStatus,
    ("facts", "Account"): AccountStatus,
    ("facts", "Renewal"): RenewalStatus,
    ("facts", "GetWell"): PlanStatus,
    ("facts", "RedAccount"): RedStatus,
    ("facts", "customer"): AccountOverview,
    ("facts", "effect"): EffectRow,
}
MADE_BESIDE = {("lists", "contributions"), ("lists", "tallies"), ("lists", "settings")}


def lacking(kind: Any, path: str) -> bool:
    """Whether the path leads nowhere from a type."""
    for name in filter(None, path.split(".")):
        if get_origin(kind) is Union or type(None) in get_args(kind):
            kind = next(each for each in get_args(kind) if each is not type(None))
        if not (isinstance(kind, type) and (issubclass(kind, BaseModel | tuple) or is_dataclass(kind))):
            return True
        hints = get_type_hints(kind)
        if name not in hints and not isinstance(getattr(kind, name, None), property):
            return True
        kind = hints.get(name, str)
    return False


@pytest.mark.parametrize(("where", "name"), SHOWN, ids=lambda each: each)
def test_every_path_leads_somewhere(where: str, name: str) -> None:
    said = [each.text for each in texts._said(where, name).values()]
    paths = [path for text in said for _, path, _, _ in Formatter().parse(text) if path]
    assert [path for path in paths if lacking(SHOWN[where, name], path)] == []


def test_a_path_that_leads_nowhere_would_be_found() -> None:
    assert lacking(CustomerLine, "customer.nmae")
    assert lacking(CustomerLine, "customer.name.first")
    assert not lacking(CustomerLine, "standing.score")


def test_every_list_and_page_is_looked_at() -> None:
    assert {(where, name) for where in ("lists", "facts") for name in texts.pages()[where]} == SHOWN.keys() | MADE_BESIDE


@pytest.mark.parametrize(("name", "status"), [("GetWell", PlanStatus), ("RedAccount", RedStatus)])
def test_every_section_is_of_what_there_is(name: str, status: Any) -> None:
    for said in texts.pages()["sections"][name].values():
        kind = get_type_hints(status)[said["of"]]
        paths = [path for text in (said.get("what", ""), said.get("text", "")) for _, path, _, _ in Formatter().parse(text) if path]
        assert (get_origin(kind) is dict) is not bool(paths)
        assert [path for path in paths if lacking(get_args(kind)[0], path)] == []


def test_what_there_is_none_of() -> None:
    row = {"at": None, "who": "", "of": {"name": "Acme [bold]"}}
    assert texts.filled("{at:%Y|never}", row).plain == "never"
    assert texts.filled("as {who}\n{of.name}", row).plain == "Acme [bold]"
    assert texts.filled("{of.name}, said {who}{at}", row).plain == "Acme [bold], said "
    assert texts.filled("{of.name:?here}{who:?there}", row).plain == "here"
    assert texts.filled("{of.name:shouted}", row, shouted=str.upper).plain == "ACME [BOLD]"


def test_a_text_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    emit(None, False, lambda _: iter(["[bold]a :smile:", *parts.section("b", "[bold]c :smile:")]))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["[bold]a :smile:", "", "b", "[bold]c :smile:"]
