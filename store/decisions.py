"""Decisions made again, from what stands in the ledger alone: the function, its inputs and the policy of each (design idea 1)."""

from datetime import datetime
from functools import cache

from sqlalchemy import select

from domain.all import decide_again
from domain.base import Value
from domain.decision import Call
from domain.policy import AnyPolicy
from store.database import narrowed
from store.ledger import Ledger
from store.tables import decisions, policies


class Said(Value):
    """What was decided, or is now; without an outcome ``rule`` says why there is none."""

    outcome: str
    rule: str
    flags: tuple[str, ...] = ()


class Differing(Value):
    """A decision that is another now."""

    workflow: str
    run: str
    number: int
    what: str
    at: datetime
    was: Said
    now: Said


class Replayed(Value):
    """How many decisions are the same; how many of these a person made; how many have no inputs; and each that differs."""

    same: int
    by_people: int
    without_inputs: int
    differing: tuple[Differing, ...]


def replay(ledger: Ledger, *, since: datetime | None = None, workflow: str = "") -> Replayed:
    """Decide again what was decided, in its order: a decision is the same when its outcome and its flags are."""
    in_order = select(decisions).order_by(decisions.c.at, decisions.c.workflow, decisions.c.run, decisions.c.number)
    query = narrowed(in_order, since and decisions.c.at >= since, workflow and decisions.c.workflow == workflow)
    same = by_people = without_inputs = 0
    differing: list[Differing] = []
    with ledger.reading() as db:
        kept = {row.hash: row.figures for row in db.execute(select(policies))}

        @cache
        def policy(kind: type[AnyPolicy], name: str) -> AnyPolicy:
            if name not in kept:
                raise LookupError(f"policy {name} is not kept")
            return kind.model_validate(kept[name])

        for row in db.execute(query.execution_options(yield_per=500)):
            if row.inputs is None:
                without_inputs += 1
                continue
            was = Said(outcome=row.outcome, rule=row.rule, flags=tuple(row.flags))
            try:
                made = decide_again(Call(function=row.function, inputs=row.inputs), policy)
                now = Said(outcome=made.outcome, rule=made.rule, flags=made.flags) if made else Said(outcome="", rule="nothing is decided")
            except (LookupError, ValueError) as error:
                now = Said(outcome="", rule=f"it cannot be decided again: {error}")
            if (was.outcome, was.flags) == (now.outcome, now.flags):
                same, by_people = same + 1, by_people + bool(row.by)
            else:
                differing.append(Differing.model_validate({**row._mapping, "was": was, "now": now}))
    return Replayed(same=same, by_people=by_people, without_inputs=without_inputs, differing=tuple(differing))
