"""Whether the ledger and an outside system tell the same story. Pure: what is on record, what was seen there, and the time decide.

What an effect on record says of the world is a :class:`Claim`; what a remote side shows is a :class:`Thing`. Both name a thing by its kind
and by ``ref``, the remote id; ``mark`` is what we left on it, by which a lost effect is found again. The comparison goes both ways:

    missing     it is on record, and the remote side has it no more
    changed     it is there, and does not show what is on record: our mark, or a state that nobody but us should change
    unknown     it carries a mark of ours, and no effect on record has left it
    duplicate   two things carry the same mark
    hanging     an effect was begun, nobody is at it any more, and it is not known to be done

The world goes on while it is looked at, so the ledger is read before and after: what must be there is what was on record before, what may
be there is what is on record afterwards.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from domain.base import Value

What = Literal["missing", "changed", "unknown", "duplicate", "hanging"]
MARK = "mark"


class Claim(Value):
    """What a done effect says of one thing. ``state`` is what it must show; of two effects on one thing the later one's word counts."""

    number: int
    effect: str
    act: str
    kind: str
    ref: str
    mark: str = ""
    state: dict[str, str] = {}


class Begun(Value):
    """An effect that is not known to be done. ``kinds`` may come of it; ``marks`` (kind, mark) are those that are known beforehand.

    ``part`` is what its first part left behind, when the rest is still to be done.
    """

    number: int
    effect: str
    act: str
    begun_at: datetime
    attempts: int
    held_until: datetime | None = None
    part: str = ""
    kinds: tuple[str, ...] = ()
    marks: tuple[tuple[str, str], ...] = ()


class OnRecord(Value):
    """What the ledger says of one system; ``untold`` counts the effects that cannot be seen there, by why."""

    claims: tuple[Claim, ...] = ()
    begun: tuple[Begun, ...] = ()
    untold: dict[str, int] = {}


class Thing(Value):
    """What a remote side shows. ``id`` tells it from another with the same ``ref``; ``where`` is its name for people."""

    kind: str
    ref: str
    mark: str = ""
    id: str = ""
    state: dict[str, str] = {}
    where: str = ""


class Unseen(Value):
    """What could not be looked at: things of that kind whose ``ref`` begins so. ``failed``: it should have been possible."""

    kind: str
    under: str
    why: str
    failed: bool = False


class Mismatch(Value):
    """What does not match. ``number`` and ``effect`` name the effect on record, if there is one."""

    what: What
    system: str
    kind: str
    ref: str = ""
    effect: str = ""
    number: int | None = None
    detail: str = ""


class Reconciled(Value):
    """The outcome for one system: how many claims were compared, how many things were seen, what does not match, what cannot be told."""

    system: str
    compared: int = 0
    seen: int = 0
    mismatches: tuple[Mismatch, ...] = ()
    untold: dict[str, int] = {}
    failed: tuple[str, ...] = ()


def reconcile(
    system: str,
    before: OnRecord,
    after: OnRecord,
    seen: Iterable[Thing | Unseen],
    *,
    at: datetime,
    hold: timedelta,
    workflows: Sequence[str] = (),
) -> Reconciled:
    """Compare the ledger with what was seen between its two readings, at the time ``at``.

    ``hold`` is how long an attempt may be at an effect. With ``workflows`` only these workflows' effects are judged; ``before`` and
    ``after`` hold all the same the whole system's, since a thing of another workflow is no unknown one.
    """
    shown = list(seen)
    world = _World(thing for thing in shown if isinstance(thing, Thing))
    unseen = [one for one in shown if isinstance(one, Unseen)]

    def judged(effect: str) -> bool:
        return not workflows or any(effect.startswith(f"{workflow}/") for workflow in workflows)

    def is_left(one: Begun) -> bool:
        """Whether nobody is at it any more."""
        return one.begun_at + hold < at and (one.held_until is None or one.held_until < at)

    untold = Counter(before.untold)
    compared = []
    for claim in filter(lambda claim: judged(claim.effect), before.claims):
        hidden = next((one for one in unseen if one.kind == claim.kind and claim.ref.startswith(one.under)), None)
        if hidden is not None:
            untold[hidden.why] += 1
        else:
            compared.append(claim)
    # Of these, the mark is not known before they are done: what is seen of them this moment may be theirs.
    under_way = {kind for one in (*before.begun, *after.begun) if not is_left(one) for kind in one.kinds}
    found = (
        *_missing_or_changed(system, compared, _last_words(after.claims), world),
        *_unknown_or_double(system, (*before.claims, *after.claims), (*before.begun, *after.begun), world, under_way, judged),
        *_hanging(system, (one for one in after.begun if judged(one.effect) and is_left(one)), world),
    )
    return Reconciled(
        system=system,
        compared=len(compared),
        seen=len(world.things),
        mismatches=found,
        untold=dict(untold),
        failed=tuple(dict.fromkeys(one.why for one in unseen if one.failed)),
    )


class _World:
    """What was seen, by ref and by mark; what was seen twice, as lists that move while they are read allow, counts once."""

    def __init__(self, things: Iterable[Thing]) -> None:
        self.things = list({(thing.kind, thing.id or thing.ref, thing.mark): thing for thing in things}.values())
        self.by_ref, self.by_mark = defaultdict[tuple[str, str], list[Thing]](list), defaultdict[tuple[str, str], list[Thing]](list)
        for thing in self.things:
            self.by_ref[thing.kind, thing.ref].append(thing)
            if thing.mark:
                self.by_mark[thing.kind, thing.mark].append(thing)


_Words = dict[tuple[str, str, str], int]


def _last_words(claims: Iterable[Claim]) -> _Words:
    """Which effect, by its number, has the last word on each property of each thing."""
    in_order = sorted(claims, key=lambda claim: claim.number)
    return {(one.kind, one.ref, name): one.number for one in in_order for name in (*one.state, *([MARK] if one.mark else []))}


def _missing_or_changed(system: str, claims: Iterable[Claim], last: _Words, world: _World) -> Iterator[Mismatch]:
    by_thing = defaultdict[tuple[str, str], list[Claim]](list)
    for claim in claims:
        by_thing[claim.kind, claim.ref].append(claim)
    for (kind, ref), about in by_thing.items():
        where = {"system": system, "kind": kind, "ref": ref}
        at_ref = world.by_ref.get((kind, ref))
        if not at_ref:
            first = about[0]
            elsewhere = [thing for claim in about if claim.mark for thing in world.by_mark.get((kind, claim.mark), ())]
            detail = f"it is {_name(elsewhere[0])} now" if elsewhere else f"{first.act}, and it is there no more"
            detail += f"; {len(about) - 1} later effect(s) on it" if len(about) > 1 else ""
            what: What = "changed" if elsewhere else "missing"
            yield Mismatch(what=what, **where, effect=first.effect, number=first.number, detail=detail)
            continue
        for claim in about:
            thing = next((one for one in at_ref if one.mark == claim.mark), at_ref[0])
            shows = {**thing.state, MARK: thing.mark}
            wanted = {**claim.state, **({MARK: claim.mark} if claim.mark else {})}
            differs = [
                f"{name} is {shows.get(name) or 'gone'}, on record {value}"
                for name, value in wanted.items()
                if shows.get(name, "") != value and last.get((kind, ref, name)) == claim.number
            ]
            if differs:
                yield Mismatch(what="changed", **where, effect=claim.effect, number=claim.number, detail="; ".join(differs))


def _unknown_or_double(
    system: str, claims: Sequence[Claim], begun: Iterable[Begun], world: _World, under_way: set[str], judged: Callable[[str], bool]
) -> Iterator[Mismatch]:
    refs = {(claim.kind, claim.ref) for claim in claims}
    owners = {mark: (one.effect, one.number) for one in begun for mark in one.marks}
    owners |= {(claim.kind, claim.mark): (claim.effect, claim.number) for claim in claims if claim.mark}
    for (kind, mark), things in world.by_mark.items():
        effect, number = owners.get((kind, mark), (mark, None))
        if not judged(effect):
            continue
        where, thing = ", ".join(_name(thing) for thing in things), {"system": system, "kind": kind, "ref": things[0].ref}
        if len(things) > 1:
            detail = f"{len(things)} carry the mark {mark}: {where}"
            yield Mismatch(what="duplicate", **thing, effect=effect, number=number, detail=detail)
        if (kind, mark) not in owners and kind not in under_way and not any((kind, each.ref) in refs for each in things):
            yield Mismatch(what="unknown", **thing, detail=f"{where} carries the mark {mark}, which no effect on record has left")


def _hanging(system: str, begun: Iterable[Begun], world: _World) -> Iterator[Mismatch]:
    for one in begun:
        there = next((thing for mark in one.marks for thing in world.by_mark.get(mark, ())), None)
        detail = f"{one.act} was begun at {one.begun_at:%Y-%m-%d %H:%M} UTC, in {one.attempts} attempt(s)"
        detail += f"; it happened: {_name(there)} carries its mark" if there else "; not known to be done"
        detail += f"; its first part is done: {one.part}" if one.part else ""
        kind, ref = (there.kind, there.ref) if there else (one.kinds[0] if one.kinds else one.act, "")
        yield Mismatch(what="hanging", system=system, kind=kind, ref=ref, effect=one.effect, number=one.number, detail=detail)


def _name(thing: Thing) -> str:
    return thing.where or f"{thing.kind} {thing.ref}"
