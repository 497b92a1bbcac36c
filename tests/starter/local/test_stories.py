"""The demo's stories, as data: every step is one that its player takes, with the arguments that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from starter.local.demo import renewals, trials
from starter.local.demo.company import Company
from starter.local.demo.customer import Customer
from starter.local.demo.player import Player, Story

ALL = [*((Company, story) for story in trials.STORIES), *((Customer, story) for story in renewals.STORIES)]


def wrong(player: type[Player], story: Story) -> list[str]:
    """The steps that nobody could take, in words."""
    found = []
    for verb, *given in story.steps:
        named = given.pop() if given and isinstance(given[-1], Mapping) else {}
        step = vars(player).get(verb) or vars(Player).get(verb)
        if verb.startswith("_") or not inspect.iscoroutinefunction(step):
            found.append(f"{player.__name__} has no step {verb}")
            continue
        try:
            inspect.signature(step).bind(None, *given, **named)
        except TypeError as error:
            found.append(f"{verb}: {error}")
    return found


@pytest.mark.parametrize(("player", "story"), ALL, ids=[f"{player.__name__}-{story.case}" for player, story in ALL])
def test_every_step_is_one_that_its_player_takes(player: type[Player], story: Story) -> None:
    assert wrong(player, story) == []
    assert story.steps[-1][0] == "ends" or "ends" in {verb for verb, *_ in story.steps}


def test_a_wrong_step_would_be_found() -> None:
    steps: list[list[Any]] = [
        ["dances"],
        ["day"],
        ["answered", "triage", "qualify", {"of": "join", "note": "x"}],
        ["day", 3, {"hour": 4}],
        ["view", 1],
    ]
    assert [each.partition(":")[0] for each in wrong(Company, Story("x", steps))] == ["Company has no step dances", "day", "day", "view"]


def test_what_the_crm_knows_is_the_account_of_that_name() -> None:
    known = {story.name: story.account for story in trials.STORIES}
    assert known["Cobalt"] == {"Trial_Prequalified__c": True}
    assert (known["Borealis"] or {})["Named_SDR__c"] == "named-lena@tenure.example"
    assert known["Fjord"] is None
    assert len({story.name for story in trials.STORIES}) == 12
