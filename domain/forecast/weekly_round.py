"""The weekly round of the forecast (D29, C34): what each AE is asked about their renewals, and what their answer means."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from pydantic import JsonValue

from domain import amounts
from domain.account.account import RenewalRow
from domain.base import Message, Value
from domain.forecast import rollup
from domain.forecast.comparison import Actual, Moved
from domain.forecast.quarters import quarter_of
from domain.forecast.rollup import Forecast, words
from domain.markup import bold, counted
from domain.policy import AccountPolicy, CarriedAccountPolicy
from domain.renewal.commands import ProjectOutcome
from domain.renewal.refusals import refuse_forecast
from domain.renewal.state import PROJECTED, RenewalState
from domain.task import Choice, FieldSpec

#: How many renewals one card lists, and how many one answer may change: a way in takes fifty fields at most.
LISTED = 25
CHANGEABLE = 40
#: How many warnings, disagreements and moves the summary names one by one.
NAMED = 8

LONGEST_NOTE = 2_000

_NEGATIVE = re.compile(r"-\$?[0-9]")
_OUTCOME = re.compile(r"((full|partial)[ _-]churn|flat|incremental)\b", re.I)


class ForecastInput(Message):
    """What the schedule gives to each week's round; ``channel`` is where the cards and the summary go."""

    policy: CarriedAccountPolicy
    channel: str = "renewals"


class AskForecast(Message):
    """Ask who has open renewals."""


class Owner(Value):
    """Somebody with open renewals: the AE's address (empty: renewals without an AE), who is asked for them, and the manager."""

    ae: str
    name: str
    asks: str
    manager: str = ""
    renewals: int


class ForecastOwners(Message):
    """Everybody who is asked this week."""

    owners: tuple[Owner, ...] = ()


class AskLines(Message):
    """Ask for the open renewals of one AE, the soonest first."""

    ae: str


class OwnLines(Message):
    """An AE's renewals of which an outcome may be projected, the soonest first; ``early`` others are not rated yet."""

    rows: tuple[RenewalRow, ...] = ()
    early: int = 0


class TakeForecast(Message):
    """Take the week's snapshots. ``said`` is by workflow id: what was said this week, which the read model may not show yet."""

    subject: str
    as_of: datetime
    policy: CarriedAccountPolicy
    said: dict[str, ProjectOutcome] = {}
    confirmed: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()


class Taken(Message):
    """What was taken: the weighted dollars by quarter, each snapshot's digest, and the summary that people read."""

    weighted: dict[str, int] = {}
    digests: dict[str, str] = {}
    text: str = ""


def asks(policy: AccountPolicy, lines: OwnLines) -> str:
    """The card's text: each renewal with what stands of it now."""
    listed = [_listed(policy, row) for row in lines.rows[:LISTED]]
    if len(lines.rows) > LISTED:
        listed.append(f"… and {len(lines.rows) - LISTED} later ones: tenure renewal list shows them.")
    if lines.early:
        listed.append(f"{counted(lines.early, 'renewal')} not rated yet: nothing to say of them this week.")
    how = "Confirm them as they stand, or change those that are different: an outcome, the ARR afterwards, and why."
    return "\n".join([how, *listed])


def choices(rows: Sequence[RenewalRow]) -> tuple[Choice, ...]:
    """The buttons: confirm all, or change some, with a field for each renewal."""
    form = "one of full_churn, partial_churn, flat, incremental; then the ARR afterwards, and why"
    fields = tuple(FieldSpec(name=name, asks=f"{row.name}: {form}", required=False) for name, row in named(rows).items())
    return (Choice(name="confirm", label="Confirm"), Choice(name="change", label="Change", fields=fields))


def named(rows: Sequence[RenewalRow]) -> dict[str, RenewalRow]:
    """The renewals that one answer may change, by the field's name: the domain, or the workflow id where one account has two."""
    domains = [row.domain for row in rows]
    return {row.domain if domains.count(row.domain) == 1 else row.workflow: row for row in rows[:CHANGEABLE]}


def _listed(policy: AccountPolicy, row: RenewalRow) -> str:
    """One line of the card: name, date, ARR, rating, projection, and what is odd about it."""
    stands = words(row.outcome) if row.outcome else "no projection yet"
    amount = f" {in_dollars(row.amount)}" if row.outcome and row.amount is not None else ""
    odd = [text for text in (rollup.expectation(row.rating, row.outcome), rollup.disagreement(row)) if text]
    flags = f" ⚠️ {'; '.join(odd)}" if odd else ""
    quarter = quarter_of(policy, row.renewal_on)
    about = f"{row.renewal_on} ({quarter}), {in_dollars(row.arr)}, {row.rating or 'not rated'}"
    return f"• {row.name} ({row.domain}): {about}: {stands}{amount}{flags}"


def changes(policy: AccountPolicy, rows: Sequence[RenewalRow], fields: Mapping[str, JsonValue], by: str) -> dict[str, ProjectOutcome]:
    """What an answer ``change`` says, by workflow id. Raises ``ValueError`` with what is wrong: what the renewal would refuse is refused here."""
    known = named(rows)
    if unknown := [name for name in fields if name not in known]:
        raise ValueError(f"there is no renewal {unknown[0]!r} here; name one of: {', '.join(known)}")
    given = {name: str(text).strip() for name, text in fields.items() if text is not None and str(text).strip()}
    if not given:
        raise ValueError(
            f"say which is different, as {next(iter(known), 'acme.com')}='partial_churn 45000 they close an office'; or confirm"
        )
    return {known[name].workflow: _read(policy, name, known[name], text, by) for name, text in given.items()}


def _read(policy: AccountPolicy, name: str, row: RenewalRow, text: str, by: str) -> ProjectOutcome:
    found = _OUTCOME.match(text)
    if found is None:
        raise ValueError(f"{name}: begin with full_churn, partial_churn, flat or incremental; then the ARR afterwards, and why")
    rest = text[found.end() :].lstrip(" \t:,;")
    if not _NEGATIVE.match(rest):
        rest = rest.lstrip(" \t:,;-")
    try:
        amount, note = amounts.leading(rest)
    except ValueError as error:  # it could mean two things
        read = str(error)[:20]
        raise ValueError(f"{name}: {read!r} is no ARR in whole dollars a year; write it as 45000, 45,000 or 45k, then a comma") from None
    message = ProjectOutcome.model_validate(
        {"by": by, "outcome": re.sub(r"[ -]", "_", found[0].lower()), "amount": amount, "note": note[:LONGEST_NOTE]}
    )
    state = RenewalState.model_validate({"renewal_on": row.renewal_on, "phase": row.phase})
    if why := refuse_forecast(policy, state, row.arr, message):
        raise ValueError(f"{name}: {why}")
    return message


def confirmations(policy: AccountPolicy, rows: Sequence[RenewalRow], now: datetime, by: str) -> dict[str, ProjectOutcome]:
    """What an answer ``confirm`` says, by workflow id: the projections that were last given longer ago than a round of the forecast."""
    return {
        row.workflow: ProjectOutcome(by=by, outcome=row.outcome, amount=row.amount)
        for row in rows
        if row.outcome and (row.forecast_at is None or (now - row.forecast_at).days >= policy.forecast.every_days)
    }


def applied(rows: Sequence[RenewalRow], said: Mapping[str, ProjectOutcome], at: datetime) -> tuple[RenewalRow, ...]:
    """The read model's rows with what was said this week: a renewal's workflow may not have written it there yet."""
    new = {row.workflow: said[row.workflow] for row in rows if row.status == "open" and row.workflow in said}
    update = {name: {"outcome": each.outcome, "amount": each.amount, "forecast_at": at} for name, each in new.items()}
    return tuple(row.model_copy(update=update.get(row.workflow)) for row in rows)


def may_be_projected(row: RenewalRow) -> bool:
    """Whether a renewal is rated, so that its AE may say what is expected of it."""
    return row.status == "open" and row.phase in PROJECTED


def summary(taken: Sequence[Forecast], moved: Mapping[str, Sequence[Moved]], closed: Sequence[Actual], today: date) -> str:
    """The message to the channel: each quarter's figures, what moved them, who did not confirm, and what to look at."""
    if not taken:
        return f"{bold(f'Forecast of {today}')}: no renewal is open."
    parts = [bold(f"Forecast of {today}")]
    for each in taken:
        parts += _quarter(each, moved.get(each.quarter, ()))
    for actual in closed:
        off = f"{in_dollars(abs(actual.error))} {'more' if actual.error >= 0 else 'less'} than forecast"
        hits = f", {actual.hits} of {actual.judged} outcomes as projected" if actual.judged else ""
        parts.append(f"{bold(actual.quarter)} is over: {in_dollars(actual.actual)} came, {off}{hits}.")
    if silent := list(dict.fromkeys(ae for each in taken for ae in each.unconfirmed)):
        parts.append(f"Not confirmed by {', '.join(silent)}: their renewals stand as they were.")
    parts += _some("To look at", [text for each in taken for text in each.warnings])
    parts += _some("They do not agree", [text for each in taken for text in each.disagreements])
    return "\n".join(parts)


def _quarter(each: Forecast, moved: Sequence[Moved]) -> list[str]:
    total = each.total
    unknown = f"; {in_dollars(total.unknown)} neither projected nor rated" if total.unknown else ""
    closed = f"; {each.closed.renewals} closed with {in_dollars(each.closed.weighted)}" if each.closed.renewals else ""
    lines = [
        f"{bold(each.quarter)}: {counted(total.renewals, 'renewal')}, {in_dollars(total.weighted)} expected of {in_dollars(total.arr)}{unknown}{closed}"
    ]
    by = ", ".join(f"{words(name)} {in_dollars(tally.arr)}" for name, tally in each.by_outcome.items())
    ratings = ", ".join(f"{name} {in_dollars(tally.arr)}" for name, tally in each.by_rating.items())
    if total.renewals:
        lines.append(f"  by outcome: {by}; by rating: {ratings}")
    if change := sum(one.change for one in moved):
        why = "; ".join(f"{one.name} {one.change:+,} ({one.why})" for one in moved[:3] if one.change)
        lines.append(f"  {change:+,} since the last one: {why}")
    return lines


def _some(what: str, texts: list[str]) -> list[str]:
    more = [f"  … and {len(texts) - NAMED} more"] if len(texts) > NAMED else []
    return [f"{what}:", *(f"  {text}" for text in texts[:NAMED]), *more] if texts else []


def in_dollars(amount: int) -> str:
    """An amount as people read it."""
    return f"${amount:,}"
