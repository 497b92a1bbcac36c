"""The weekly round of the forecast (D29, C34): what each AE is asked about their renewals, and what their answer means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from pydantic import JsonValue

from domain import forecast
from domain.account import Outcome, RenewalRow
from domain.base import Message, Value
from domain.forecast import Actual, Forecast, Moved, words
from domain.policy import AccountPolicy, CarriedAccountPolicy
from domain.task import Choice, FieldSpec

#: How many renewals one card lists, and how many one answer may change: a way in takes fifty fields at most.
LISTED = 25
CHANGEABLE = 40
#: How many warnings, disagreements and moves the summary names one by one.
NAMED = 8

_SAID = re.compile(r"(full[ _-]churn|partial[ _-]churn|flat|incremental)\b[\s:,]*(?:\$?\s*([0-9][0-9,._]*)\b)?[\s:,]*(.*)", re.I | re.S)


class ForecastInput(Message):
    """What the schedule gives to each week's round; ``channel`` is where the cards and the summary go."""

    policy: CarriedAccountPolicy
    channel: str = "renewals"


class AskForecast(Message):
    """Ask who has open renewals."""


class Owner(Value):
    """Somebody with open renewals: the AE's address (empty: renewals without an AE), and their manager's."""

    ae: str
    name: str
    manager: str = ""
    renewals: int


class ForecastOwners(Message):
    """Everybody who is asked this week."""

    owners: tuple[Owner, ...] = ()


class AskLines(Message):
    """Ask for the open renewals of one AE, the soonest first."""

    ae: str


class OwnLines(Message):
    """An AE's open renewals, the soonest first."""

    rows: tuple[RenewalRow, ...] = ()


class Said(Message):
    """What the AE says of one renewal now: the signal ``forecast`` to its workflow. ``amount`` is the ARR afterwards; None: by the outcome."""

    by: str
    outcome: Outcome
    amount: int | None = None
    note: str = ""


class TakeForecast(Message):
    """Take the week's snapshots. ``said`` is by workflow id: what was said this week, which the read model may not show yet."""

    subject: str
    as_of: datetime
    policy: CarriedAccountPolicy
    said: dict[str, Said] = {}
    confirmed: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()


class Taken(Message):
    """What was taken: the weighted dollars by quarter, each snapshot's digest, and the summary that people read."""

    weighted: dict[str, int] = {}
    digests: dict[str, str] = {}
    text: str = ""


# --- What an AE is asked ----------------------------------------------------------------------------------------------------


def asks(policy: AccountPolicy, rows: Sequence[RenewalRow]) -> str:
    """The card's text: each renewal with what stands of it now."""
    lines = [_listed(policy, row) for row in rows[:LISTED]]
    if len(rows) > LISTED:
        lines.append(f"… and {len(rows) - LISTED} later ones: `tenure renewal list` shows them.")
    how = "Confirm them as they stand, or change those that are different: an outcome, the ARR afterwards, and why."
    return "\n".join([how, *lines])


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
    stands = words(row.outcome) if row.outcome else "*no projection yet*"
    amount = f" {dollars(row.amount)}" if row.outcome and row.amount is not None else ""
    odd = [text for text in (forecast.expectation(row.rating, row.outcome), forecast.disagreement(row)) if text]
    flags = f" :warning: {'; '.join(odd)}" if odd else ""
    quarter = forecast.quarter_of(policy, row.renewal_on)
    about = f"{row.renewal_on} ({quarter}), {dollars(row.arr)}, {row.rating or 'not rated'}"
    return f"• {row.name} ({row.domain}): {about}: {stands}{amount}{flags}"


# --- What an answer means ---------------------------------------------------------------------------------------------------


def changes(rows: Sequence[RenewalRow], fields: Mapping[str, JsonValue], by: str) -> dict[str, Said]:
    """What an answer ``change`` says, by workflow id. Raises ``ValueError`` with what is wrong and what to write instead."""
    known = named(rows)
    if unknown := [name for name in fields if name not in known]:
        raise ValueError(f"there is no renewal {unknown[0]!r} here; name one of: {', '.join(known)}")
    said = {known[name].workflow: _read(name, known[name], str(text), by) for name, text in fields.items() if str(text or "").strip()}
    if not said:
        raise ValueError(
            f"say which renewal is different, as {next(iter(known), 'acme.com')}='partial_churn 45000 they close an office'; or confirm"
        )
    return said


def _read(name: str, row: RenewalRow, text: str, by: str) -> Said:
    found = _SAID.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{name}: begin with full_churn, partial_churn, flat or incremental; then the ARR afterwards, and why")
    outcome: Outcome = re.sub(r"[ -]", "_", found[1].lower())  # type: ignore[assignment]  # the pattern's own words
    amount = int(re.sub(r"[,._]", "", found[2])) if found[2] else None
    if outcome in ("full_churn", "flat") and amount is not None:
        raise ValueError(f"{name}: {outcome} says the ARR by itself; write it without {found[2]}, or say partial_churn or incremental")
    if outcome == "partial_churn" and amount is not None and not 0 < amount < row.arr:
        raise ValueError(f"{name}: a partial churn leaves more than nothing and less than {dollars(row.arr)}; {found[2]} is neither")
    if outcome == "incremental" and amount is not None and amount <= row.arr:
        raise ValueError(f"{name}: an incremental renewal brings more than {dollars(row.arr)}; {found[2]} does not")
    return Said(by=by, outcome=outcome, amount=amount, note=found[3].strip()[:2_000])


def confirmations(policy: AccountPolicy, rows: Sequence[RenewalRow], now: datetime, by: str) -> dict[str, Said]:
    """What an answer ``confirm`` says, by workflow id: the projections that were last given longer ago than a round of the forecast."""
    return {row.workflow: Said(by=by, outcome=row.outcome, amount=row.amount) for row in rows if row.outcome and _is_old(policy, row, now)}


def _is_old(policy: AccountPolicy, row: RenewalRow, now: datetime) -> bool:
    return row.forecast_at is None or (now - row.forecast_at).days >= policy.forecast.every_days


def applied(rows: Sequence[RenewalRow], said: Mapping[str, Said], at: datetime) -> tuple[RenewalRow, ...]:
    """The read model's rows with what was said this week: a renewal's workflow may not have written it there yet."""

    def one(row: RenewalRow) -> RenewalRow:
        new = said.get(row.workflow)
        if new is None or row.status != "open":
            return row
        return row.model_copy(update={"outcome": new.outcome, "amount": new.amount, "forecast_at": at})

    return tuple(one(row) for row in rows)


# --- What is told -----------------------------------------------------------------------------------------------------------


def summary(taken: Sequence[Forecast], moved: Mapping[str, Sequence[Moved]], closed: Sequence[Actual], today: date) -> str:
    """The message to the channel: each quarter's figures, what moved them, who did not confirm, and what to look at."""
    if not taken:
        return f"*Forecast of {today}*: no renewal is open."
    parts = [f"*Forecast of {today}*"]
    for each in taken:
        parts += _quarter(each, moved.get(each.quarter, ()))
    for actual in closed:
        off = f"{dollars(abs(actual.error))} {'more' if actual.error >= 0 else 'less'} than forecast"
        hits = f", {actual.hits} of {actual.judged} outcomes as projected" if actual.judged else ""
        parts.append(f"*{actual.quarter}* is over: {dollars(actual.actual)} came, {off}{hits}.")
    if silent := list(dict.fromkeys(ae for each in taken for ae in each.unconfirmed)):
        parts.append(f"Not confirmed by {', '.join(silent)}: their renewals stand as they were.")
    parts += _some("To look at", [text for each in taken for text in each.warnings])
    parts += _some("They do not agree", [text for each in taken for text in each.disagreements])
    return "\n".join(parts)


def _quarter(each: Forecast, moved: Sequence[Moved]) -> list[str]:
    total = each.total
    unknown = f"; {dollars(total.unknown)} neither projected nor rated" if total.unknown else ""
    closed = f"; {each.closed.renewals} closed with {dollars(each.closed.weighted)}" if each.closed.renewals else ""
    lines = [f"*{each.quarter}*: {_renewals(total.renewals)}, {dollars(total.weighted)} expected of {dollars(total.arr)}{unknown}{closed}"]
    by = ", ".join(f"{words(name)} {dollars(tally.arr)}" for name, tally in each.by_outcome.items())
    ratings = ", ".join(f"{name} {dollars(tally.arr)}" for name, tally in each.by_rating.items())
    if total.renewals:
        lines.append(f"  by outcome: {by}; by rating: {ratings}")
    if change := sum(one.change for one in moved):
        why = "; ".join(f"{one.name} {one.change:+,} ({one.why})" for one in moved[:3] if one.change)
        lines.append(f"  {change:+,} since the last one: {why}")
    return lines


def _some(what: str, texts: list[str]) -> list[str]:
    more = [f"  … and {len(texts) - NAMED} more"] if len(texts) > NAMED else []
    return [f"{what}:", *(f"  {text}" for text in texts[:NAMED]), *more] if texts else []


def _renewals(number: int) -> str:
    return "1 renewal" if number == 1 else f"{number} renewals"


def dollars(amount: int) -> str:
    """An amount as people read it."""
    return f"${amount:,}"
