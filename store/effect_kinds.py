"""The register of effects: every kind that the ledger may hold, and what a row of it claims of the world.

A kind is declared where the code that carries it out stands: beside a handler (:func:`activities.effects.outside_system.carries_out`), or by
:func:`declares` and :func:`records`. ``docs/effects.md`` is written from it, and ``tenure effects verify`` compares by it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from domain.effects.effect import Effect
from domain.effects.reconcile import Claim
from store.ledger import OWN_TABLES, EffectId, EffectRow

Function = TypeVar("Function", bound=Callable[..., Any])
Claims = Callable[[EffectRow], tuple[Claim, ...]]
Mark = Callable[[EffectId], str]


def nothing(_row: EffectRow) -> tuple[Claim, ...]:
    """Nothing that could be looked up."""
    return ()


@dataclass(frozen=True)
class EffectKind:
    """One kind of effect.

    ``act`` is the ledger's word, ``asked_by`` the effect that a workflow asks for (None: an activity of its own does it). ``probe`` says how the
    remote side is asked whether it happened and ``code`` is the function that asks; ``means`` makes a repetition no second effect;
    ``window`` is what can go wrong all the same. ``told``: what a verification compares, or why it cannot. ``makes`` is the kind of thing that it makes, and ``mark`` what is left on it, where
    that is known beforehand; what it ``claims`` is that thing, unless it says otherwise. ``first``: what is there already while only its first
    part is done.
    """

    system: str
    act: str
    asked_by: type[Effect] | None
    probe: str
    code: Callable[..., Any]
    means: str
    window: str
    told: str
    claims: Claims = nothing
    makes: str = ""
    mark: Mark | None = None
    first: Claims = nothing

    def __post_init__(self) -> None:
        if self.makes and self.claims is nothing:
            object.__setattr__(self, "claims", of(self.makes, self.mark))

    @property
    def untold(self) -> str:
        """Why a verification cannot tell; empty when it can."""
        return self.told if self.claims is nothing else ""


#: Every kind that was declared, by system and act.
KINDS: dict[tuple[str, str], EffectKind] = {}


def register(kind: EffectKind) -> None:
    """Make a kind known. Raises ``TypeError`` when another code declares the same one."""
    known = KINDS.setdefault((kind.system, kind.act), kind)
    if known.code.__qualname__ != kind.code.__qualname__:
        raise TypeError(f"{kind.system} {kind.act} is declared by {known.code.__qualname__} and by {kind.code.__qualname__}; rename one")
    KINDS[kind.system, kind.act] = kind


def declares(system: str, act: str, **says: Any) -> Callable[[Function], Function]:
    """The function has an effect of its own, which no workflow asks for; ``says`` is the rest of its :class:`EffectKind`."""

    def declared(function: Function) -> Function:
        register(EffectKind(system=system, act=act, asked_by=None, code=function, **says))
        return function

    return declared


def records(*acts: str) -> Callable[[Function], Function]:
    """The function changes our own tables and records that in the same transaction, under these words."""

    def declared(function: Function) -> Function:
        for act in acts:
            declares(
                OWN_TABLES,
                act,
                probe="None is needed: the change and its record are one transaction.",
                means="The ledger's own database.",
                window="None.",
                told="not told: it is the ledger's own database, and the record is part of the change",
            )(function)
        return function

    return declared


def named(effect: EffectId | EffectRow) -> EffectId:
    """The name of the effect of a row."""
    return EffectId(effect.subject, effect.key)


def claim(row: EffectRow, kind: str, ref: str, *, mark: str = "", **state: str) -> Claim:
    """What a row says of one thing."""
    return Claim(number=row.number, effect=str(named(row)), act=row.act, kind=kind, ref=ref, mark=mark, state=state)


def ref_of(row: EffectRow) -> str:
    """What the receipt names; empty when it names nothing."""
    return row.receipt.ref if row.receipt is not None else ""


def of(kind: str, mark: Mark | None = None, ref: Callable[[EffectRow], str] = ref_of, **state: str) -> Claims:
    """A claim on the thing that the receipt names; none when the receipt names none, since then there was nothing to act on."""

    def claims(row: EffectRow) -> tuple[Claim, ...]:
        return (claim(row, kind, at, mark=mark(named(row)) if mark else "", **state),) if (at := ref(row)) else ()

    return claims


def below(name: str) -> Callable[[EffectRow], str]:
    """What the receipt names, below one of its values, as a message in its channel; empty when it has not both."""
    return lambda row: f"{at}/{ref}" if (at := data(row, name)) and (ref := ref_of(row)) else ""


def data(row: EffectRow, name: str) -> str:
    """A value of the receipt; empty when it has none."""
    return row.receipt.data.get(name, "") if row.receipt is not None else ""


def subject_of(effect: EffectId) -> str:
    """The subject, as Salesforce's records carry it."""
    return effect.subject
