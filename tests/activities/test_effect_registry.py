"""The register of effects: nothing is done in the world that it does not know, and its page says what the code says."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any, get_args

import pytest

from activities.effects import table
from activities.effects.registry import BY_NAME, REGISTER
from domain.effects import accounts, models
from domain.effects.effect import Act
from sandbox.server import SandboxServer
from store import registry
from store.ledger import Ledger
from store.settings import Settings
from tests.activities.every_effect import do_everything

UNIONS: dict[str, Any] = {
    "slack": models.SlackAct,
    "github": models.GitHubAct,
    "salesforce": models.SalesforceAct,
    "instance": models.InstanceAct,
    "licensing": models.LicenseAct,
    "pagerduty": models.PagerAct,
    "mail": models.MailAct,
    "vitally": accounts.VitallyAct,
    "sheets": accounts.SheetsAct,
}


def members(union: Any) -> set[type[Act]]:
    """The acts of a union, however it is nested and annotated."""
    if isinstance(union, type) and issubclass(union, Act):
        return {union}
    return {act for part in get_args(union) if not hasattr(part, "discriminator") for act in members(part)}


@pytest.mark.parametrize("system", UNIONS)
def test_every_act_of_a_system_is_registered_once(system: str) -> None:
    asked = [kind.asked_by for kind in REGISTER if kind.system == system and kind.asked_by is not None]
    assert len(asked) == len(set(asked))
    assert set(asked) == members(UNIONS[system])


def test_no_act_stands_outside_the_unions() -> None:
    defined = {one for module in (models, accounts) for one in vars(module).values() if isinstance(one, type) and issubclass(one, Act)}
    assert defined - {Act} == {act for union in UNIONS.values() for act in members(union)}
    assert set(UNIONS) == {name for name in models.Moment.model_fields if name not in ("subject", "as_of")}


def words_in_the_code() -> set[str]:
    """What the activities write into the ledger's column ``act``: of a Step, of a change of the registry, or by ``act=``."""
    found = set()
    root = Path(inspect.getfile(registry)).parents[1]
    for path in [path for part in ("store", "activities") for path in sorted((root / part).rglob("*.py"))]:
        if path.is_relative_to(root / "activities/effects"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = [*node.args[:1]] if name in ("Step", "_Did") else []
            given += [one.value for one in node.keywords if one.arg == "act"]
            for value in (part for one in given for part in ast.walk(one) if isinstance(part, ast.Constant)):
                if isinstance(value.value, str) and "." in value.value:
                    found.add(value.value)
    return found


def test_every_word_of_the_ledger_is_registered() -> None:
    registered = {kind.act for kind in REGISTER}
    for word in words_in_the_code():
        assert word in registered or (word.endswith(".") and any(act.startswith(word) for act in registered)), word
    assert {act for act in registered if not act.startswith("pool.")} <= words_in_the_code()


def test_what_is_done_is_what_is_registered(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    do_everything(settings, ledger, sandbox)
    rows = ledger.effects()
    assert {(row.system, row.act) for row in rows} <= set(BY_NAME)
    remote = {name for name, kind in BY_NAME.items() if kind.system != "registry"}
    assert remote <= {(row.system, row.act) for row in rows}, "every kind was done"


def test_the_page_is_what_the_register_says() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), "run: python -m activities.effects.table"


@pytest.mark.parametrize("kind", REGISTER, ids=lambda kind: f"{kind.system}-{kind.act}")
def test_a_kind_says_all_that_it_must(kind: Any) -> None:
    assert callable(kind.code)
    assert all((kind.probe, kind.means, kind.window, kind.told))
    assert kind.told.startswith("not told") == bool(kind.untold)
