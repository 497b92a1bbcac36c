"""What another policy would change for an open trial (idea 2): the figures that differ, and each moment ahead that moves.

A trial keeps the policy that it started with until it adopts another by an update. What was promised stays: the day on which the trial
ends, and the questions that are open. What is still ahead follows the new figures.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue

from domain.base import Message, Value
from domain.decision import Conclusion, Fact, replayable
from domain.messages import Origin
from domain.policy import CarriedPolicy, Policy
from domain.policy.file import leaves
from domain.trial.agenda import agenda
from domain.trial.state import OPEN_TO_DECIDE, Stage, TrialState

#: Stages in which a trial is being ended: it ends by the policy that decided so.
CLOSING = frozenset({Stage.TEARDOWN, Stage.CONVERTING})


#: What became of another policy.
Adoption = StrEnum("Adoption", "ADOPTED")


class WhatIf(Message):
    """Ask what another policy would change."""

    policy: CarriedPolicy


class Difference(Value):
    """A figure that two policies disagree on, by its path in the file."""

    path: str
    was: JsonValue
    will: JsonValue


class Move(Value):
    """A moment ahead that another policy moves, brings, drops or means differently. Empty times: it is not there."""

    what: str
    change: Literal["moved", "at once", "new", "dropped", "means"]
    was: datetime | None = None
    will: datetime | None = None


class Preview(Message):
    """What adopting a policy would change for one trial; ``refused`` says why it cannot be adopted."""

    domain: str
    stage: str
    policy: str
    would_be: str
    moves: tuple[Move, ...] = ()
    refused: str = ""


def differences(policy: Policy, other: Policy) -> list[Difference]:
    """Every figure of ``policy`` that ``other`` has another value for, in the order of the file."""
    ours, theirs = dict(leaves(policy.model_dump(mode="json"))), dict(leaves(other.model_dump(mode="json")))
    return [Difference(path=path, was=ours[path], will=theirs[path]) for path in ours if ours[path] != theirs[path]]


def moves(policy: Policy, other: Policy, origin: Origin, state: TrialState, now: datetime) -> tuple[Move, ...]:
    """Each moment of an open trial that ``other`` changes, in the order of time."""
    if state.stage not in OPEN_TO_DECIDE:
        return ()
    ours = {moment.key: moment for moment in agenda(policy, origin, state)}
    theirs = {moment.key: moment for moment in agenda(other, origin, state)}
    found: list[Move] = []
    for key in {**ours, **theirs}:
        was, will = ours.get(key), theirs.get(key)
        if was is None and will is not None:
            found.append(Move(what=will.what, change="new" if will.at > now else "at once", will=will.at))
        elif will is None and was is not None:
            found.append(Move(what=was.what, change="dropped", was=was.at))
        elif was is not None and will is not None and was.at != will.at:
            found.append(Move(what=will.what, change="moved" if will.at > now else "at once", was=was.at, will=will.at))
        elif was is not None and will is not None and was.what != will.what:
            found.append(Move(what=f"{will.what} (was: {was.what})", change="means", was=was.at, will=will.at))
    return tuple(sorted(found, key=lambda move: (move.will or move.was or now, move.what)))


def refuse(policy: Policy, other: Policy, state: TrialState) -> str | None:
    """Why a trial cannot adopt a policy; None when it can."""
    if state.end is not None:
        return "the trial is over"
    if state.stage in CLOSING or state.verdict is not None:
        return "the trial is being ended, by the policy that decided so"
    if state.stage is Stage.DECIDING:
        return "its deadline is being decided at this moment; ask again in a minute"
    return "the trial has this policy already" if policy.hash == other.hash else None


@replayable("policy", "")
def adopted(policy: Policy, before: Policy, by: str, why: str, moved: tuple[Move, ...], now: datetime) -> Conclusion[Adoption]:
    """That a trial goes on by this policy instead of the one ``before``, for its dossier."""
    changed = differences(before, policy)
    facts = (
        Fact(name="policy before", value=before.hash, source="the trial", as_of=now),
        *(Fact(name=each.path, value=f"{each.was} → {each.will}", source="policy", as_of=now) for each in changed),
        *(Fact(name=move.what, value=_in_words(move), source="agenda", as_of=now) for move in moved),
    )
    rule = f"It goes on by another policy: {why or 'no reason was given'}"
    return Conclusion(Adoption.ADOPTED, rule, "not adopting it", facts, by=by)


def _in_words(move: Move) -> str:
    times = " → ".join(dict.fromkeys(f"{at:%Y-%m-%d %H:%M} UTC" for at in (move.was, move.will) if at))
    return f"{move.change}: {times}"
