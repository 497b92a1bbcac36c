"""An outside system: a class whose methods carry out effects, each declared where it stands.

    class Slack(OutsideSystem, name="slack", title="Slack"):

        @carries_out(Post, act="message.posted", probe=_posted, makes="message", mark=str)
        def _post(self, post: Post, name: EffectId) -> Receipt:

How that happens once is said in words in the ``.toml`` of the same name beside the module, by the act. That is all that a system needs: the worker finds its class in this package, :meth:`OutsideSystem.carry_out` finds the method by the effect,
the ledger sees to it that it happens once, and ``docs/effects.md`` and ``tenure effects verify`` read what is declared.
"""

import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

from temporalio.exceptions import ApplicationError

import activities
from activities.asking import Ask, Scope, asking, begun
from activities.errors import UNKNOWN_TRIES, UnknownAnswer, again, translating
from domain.effects.effect import BatchResult, Effect, EffectBatch, Receipt
from domain.effects.reconcile import Thing, Unseen
from domain.wording import beside
from store.effect_kinds import KINDS, EffectKind, register
from store.holds import Free
from store.ledger import EffectId, Ledger, NotDone
from store.settings import Settings

AnyEffect = TypeVar("AnyEffect", bound=Effect)
AnySystem = TypeVar("AnySystem")
Handler = Callable[[AnySystem, AnyEffect, EffectId], Receipt]
Looker = Callable[[Any, AnyEffect, EffectId], Receipt | None]
Do = Callable[[], Receipt]
Probe = Callable[[], Receipt | None]

#: Every outside system that was defined, by its name; :func:`systems` reads all modules first.
_SYSTEMS: dict[str, "type[OutsideSystem]"] = {}


class Connections(Protocol):
    """A client, as far as it must be closed."""

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True)
class _Handled:
    """How one kind of effect is carried out."""

    effect: type[Effect]
    kind: EffectKind
    do: Callable[[Any, Any, EffectId], Receipt]
    probe: Looker[Any] | None
    instead: Looker[Any] | None


def carries_out(
    effect: type[AnyEffect],
    *,
    act: str,
    probe: Looker[AnyEffect] | None = None,
    instead: Looker[AnyEffect] | None = None,
    code: Callable[..., Any] | None = None,
    **says: Any,
) -> Callable[[Handler[AnySystem, AnyEffect]], Handler[AnySystem, AnyEffect]]:
    """The method does this effect and returns its receipt; ``says`` is the rest of its :class:`EffectKind`.

    ``probe`` asks the remote side whether an earlier attempt already did, and returns that attempt's receipt or None. A system that cannot
    be asked, but sees to it itself that a repetition is no second effect, has no probe. ``code`` is the function that knows how it is known,
    where that is neither the probe nor the method. ``instead`` may answer for an effect that is not to be done.
    """

    def declared(method: Handler[AnySystem, AnyEffect]) -> Handler[AnySystem, AnyEffect]:
        module = inspect.getfile(method)
        said = {**(beside(module).get(act, {}) if Path(module).with_suffix(".toml").exists() else {}), **says}
        if "asks" not in said:
            raise TypeError(f"{effect.system} {act}: say how it happens once, in the .toml beside {module}")
        kind = EffectKind(effect.system, act, effect, said.pop("asks"), code or probe or method, **said)
        method.handles = _Handled(effect, kind, method, probe, instead)  # type: ignore[attr-defined]
        return method

    return declared


class OutsideSystem(ABC):
    """What our worker acts on. ``name`` is its name in the ledger, and of the activity in which it goes alone; ``title`` is for people."""

    name: ClassVar[str]
    title: ClassVar[str]
    _handled: ClassVar[Mapping[type[Effect], _Handled]]
    _client: Connections | None = None

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger

    def __init_subclass__(cls, *, name: str = "", title: str = "") -> None:
        """A class with a name is a system that the worker runs; one without is a part of one."""
        super().__init_subclass__()
        methods = [method for base in reversed(cls.__mro__) for method in vars(base).values()]
        cls._handled = {method.handles.effect: method.handles for method in methods if hasattr(method, "handles")}
        if not name:
            return
        cls.name, cls.title = name, title or name
        if astray := [handled.effect.__name__ for handled in cls._handled.values() if handled.kind.system != name]:
            raise TypeError(f"{cls.__name__} is {name}, and {', '.join(astray)} names another system")
        _SYSTEMS[name] = cls
        for handled in cls._handled.values():
            register(handled.kind)

    @classmethod
    def effects(cls) -> tuple[type[Effect], ...]:
        """The kinds of effect that it carries out."""
        return tuple(cls._handled)

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Self:
        """The system that the settings name."""
        return cls(settings, ledger)

    @abstractmethod
    def error(self, error: Exception) -> ApplicationError | None:
        """A client's exception as one of the errors of :mod:`activities.errors`; None means that it is a fault of ours."""

    @contextmanager
    def looking(self, place: str = "", *, waited_for: bool = False) -> Iterator[None]:
        """Look at what is there, unless it is held; errors in Temporal's terms (:func:`activities.asking.asking`)."""
        with asking(self._ledger, self.name, place, look=waited_for), translating(self.error):
            yield

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing | Unseen]:
        """What is there, for ``tenure effects verify``; nothing of a system that shows nothing."""
        return iter(())

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def carry_out(self, batch: EffectBatch) -> BatchResult:
        """Carry out effects of this system in their order, each at most once, and return their receipts.

        Safe to repeat: what is done is answered from the ledger, and the error says which effects still wait. What may have happened is
        asked for first.
        """
        if batch.not_before is not None and (left := batch.not_before - datetime.now(UTC)) > timedelta():
            text = f"{self.name} is left alone until {batch.not_before:%Y-%m-%d %H:%M:%S} UTC, as it said before; it is tried again then"
            raise NotDone(text, type="SystemHeld", next_retry_delay=left)
        receipts: dict[str, Receipt] = {}
        for number, effect in enumerate(batch.effects):
            try:
                receipts[effect.key] = self._once(effect, batch)
            except ApplicationError as error:
                # How far the batch came; the Web UI shows it as the pending activity's last failure.
                waiting = ", ".join(left.key for left in batch.effects[number:])
                progress = f"{error.message} [{number} of {len(batch.effects)} done; waiting: {waiting}]"
                raise again(error, error.next_retry_delay, progress) from None
        return BatchResult(receipts=receipts)

    def _once(self, effect: Effect, batch: EffectBatch) -> Receipt:
        how, name = self._handled[type(effect)], EffectId(batch.subject, effect.key)
        do: Do = partial(how.do, self, effect, name)
        probe: Probe = partial(how.probe or _nothing, self, effect, name)
        if how.instead and self._ledger.receipt(name) is None:
            with translating(self.error):
                settled = how.instead(self, effect, name)
            if settled is not None and begun(self._ledger, name) is None:
                return settled
            if settled is not None:
                do, probe = (lambda: settled), (lambda: None)  # it is on record already, and is not left open
        return self.once(name, do, probe, act=how.kind.act, summary=effect.in_words(), as_of=batch.as_of, place=effect.place)

    def once(
        self, name: EffectId, do: Do, probe: Probe = lambda: None, *, act: str, summary: str, as_of: datetime, place: str = ""
    ) -> Receipt:
        """Carry out an effect at most once, while its system is not held. What is done already is done, whatever is held."""
        where, ledger = f"{self.name} {place}".strip(), self._ledger
        begun = ledger.begin(name, self.name, act, summary, as_of, where)
        if begun is None and ledger.holds.on(where) and (done := ledger.receipt(name)) is not None:
            return done
        # Inside the ledger's wrapper, so that it sees what the error says about whether the effect happened.
        do, probe = translating(self.error)(do), translating(self.error)(probe)
        try:
            with asking(ledger, self.name, place, entered=Free() if begun else None):
                return ledger.once(name, system=self.name, act=act, summary=summary, as_of=as_of, do=do, probe=probe, begun=begun)
        except UnknownAnswer as error:
            if (tries := ledger.count_unknown(name)) < UNKNOWN_TRIES:
                raise
            text = f"{error.message} (asked {tries} times); look there whether it happened, then say whether to try again"
            raise UnknownAnswer(text, type=error.type, non_retryable=True) from None


def _nothing(*_: object) -> None:
    """What a system says that cannot be asked."""


def systems() -> Mapping[str, type[OutsideSystem]]:
    """Every outside system by its name, in the order of the names: each module of ``activities`` is read for them."""
    for module in pkgutil.walk_packages(activities.__path__, f"{activities.__name__}."):
        import_module(module.name)
    return dict(sorted(_SYSTEMS.items()))


def effect_kinds() -> Mapping[tuple[str, str], EffectKind]:
    """The whole register, by system and act: outside systems by their names, then our own tables."""
    order = [*systems()]
    known = sorted(KINDS.values(), key=lambda kind: order.index(kind.system) if kind.system in order else len(order))
    return {(kind.system, kind.act): kind for kind in known}
