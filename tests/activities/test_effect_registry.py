"""The register of effects: nothing is done in the world that it does not know, and its page says what the code says."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import domain.effects
from activities.effects import table
from activities.effects.outside_system import OutsideSystem, carries_out, effect_kinds, systems
from domain.effects import effect as effect_module
from domain.effects.effect import Effect, Receipt
from domain.effects.pagerduty import Page
from sandbox.server import SandboxServer
from store import registry
from store.ledger import EffectId, Ledger
from store.settings import Settings
from tests.activities.every_effect import do_everything

#: The kinds of effect that each system carries out.
EFFECTS = {name: system.effects() for name, system in systems().items()}
REGISTER = tuple(effect_kinds().values())


@pytest.mark.parametrize("system", EFFECTS)
def test_every_effect_of_a_system_is_registered_once(system: str) -> None:
    asked = [kind.asked_by for kind in REGISTER if kind.system == system and kind.asked_by is not None]
    assert len(asked) == len(set(asked))
    assert set(asked) == set(EFFECTS[system]) == {effect for effect in effect_module.KINDS.values() if effect.system == system}


def test_every_effect_is_carried_out_by_its_system() -> None:
    modules = [import_module(module.name) for module in pkgutil.iter_modules(domain.effects.__path__, "domain.effects.")]
    defined = {one for module in modules for one in vars(module).values() if isinstance(one, type) and issubclass(one, Effect)}
    assert {one for one in defined if not one.__subclasses__()} == {effect for effects in EFFECTS.values() for effect in effects}


def test_two_effects_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two effects are called Post"):
        type("Post", (Effect,), {"system": "slack", "in_words": lambda self: "post", "__module__": __name__})


def test_an_effect_of_another_system_is_refused() -> None:
    with pytest.raises(TypeError, match="Wrong is wrong, and Page names another system"):

        class Wrong(OutsideSystem, name="wrong"):
            @carries_out(Page, act="page.sent", asks="x", means="x", window="x", told="not told: x")
            def _page(self, _effect: Page, _effect_id: EffectId) -> Receipt:
                return Receipt()


def words_in_the_code() -> set[str]:
    """What the activities write into the ledger's column ``act``: of a change of the registry, or by ``act=``."""
    found = set()
    root = Path(inspect.getfile(registry)).parents[1]
    for path in [path for part in ("store", "activities") for path in sorted((root / part).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = node.args if name == "records" else node.args[:1] if name == "_Did" else node.args[1:2] if name == "declares" else []
            given = [*given, *(one.value for one in node.keywords if one.arg == "act")]
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
    assert {(row.system, row.act) for row in rows} <= set(effect_kinds())
    remote = {name for name, kind in effect_kinds().items() if kind.system != "registry"}
    assert remote <= {(row.system, row.act) for row in rows}, "every kind was done"


def test_the_page_is_what_the_register_says() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), "run: python -m activities.effects.table"


@pytest.mark.parametrize("kind", REGISTER, ids=lambda kind: f"{kind.system}-{kind.act}")
def test_a_kind_says_all_that_it_must(kind: Any) -> None:
    assert callable(kind.code)
    assert all((kind.probe, kind.means, kind.window, kind.told))
    assert kind.told.startswith("not told") == bool(kind.untold)
