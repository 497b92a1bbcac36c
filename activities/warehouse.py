"""The warehouse: what customers' instances and support tell about use (4.3), read through SQLAlchemy in one query.

DuckDB in a file on a laptop, anything else by URL: BigQuery with its dialect installed. It is read and never written. Three tables:

    usage_daily     account, day, dau, searches, code_intel
    usage_monthly   account, month, mau, seats, versions_behind, precise_intel_languages   month-end snapshots of complete months
    tickets         account, opened_on, kind (defect, help), severity

``account`` is the registrable domain and ``kind`` a word, both in whatever letters; ``month`` is a day of the month. A day without a row is
a day without use. A file is opened for one query only: its writer puts a new one in
its place, which an open connection would never see.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Engine,
    FromClause,
    Integer,
    Label,
    NullPool,
    Select,
    String,
    TableClause,
    case,
    column,
    create_engine,
    extract,
    func,
    literal,
    make_url,
    select,
    table,
    union_all,
)
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from activities.errors import CREDENTIAL_RETRY, unreachable
from domain.policy import AccountPolicy
from store.ledger import NotDone
from store.settings import Settings

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

SYSTEM = "Warehouse"
#: Rows that are in Python's hands at once.
PART = 10_000
MONTHS = 12
#: How many numbers that cannot be so are named.
SHOWN = 100
#: A sum over the days of the longest window of the policy, 26 weeks, is not more than so many times as much.
MOST_DAYS = 182

usage_daily = table(
    "usage_daily",
    column("account", String),
    column("day", Date),
    column("dau", Integer),
    column("searches", Integer),
    column("code_intel", Integer),
)
usage_monthly = table(
    "usage_monthly",
    column("account", String),
    column("month", Date),
    column("mau", Integer),
    column("seats", Integer),
    column("versions_behind", Integer),
    column("precise_intel_languages", Integer),
)
tickets = table("tickets", column("account", String), column("opened_on", Date), column("kind", String), column("severity", Integer))

#: The columns of the query that are numbers; one that is not known is "not a number".
NUMBERS = ("user_days", "mau", "seats", "versions_behind", "languages", "defect_tickets", "help_tickets", "reached", "declining")


@dataclass(frozen=True)
class Usage:
    """What the warehouse knows, a number for each of ``accounts`` (a domain's place in the columns); what is not known is ``nan``.

    ``month`` is the month of the snapshots, None when there is none that is new enough. ``was_at_target`` and ``declining_months`` are
    those of :class:`domain.account.account.HealthSnapshot`. ``odd`` are the first numbers that cannot be so, in words: they are not known either.
    """

    accounts: dict[str, int]
    month: date | None
    usage_score: NDArray[numpy.float64]
    mau_seats: NDArray[numpy.float64]
    versions_behind: NDArray[numpy.float64]
    precise_intel: NDArray[numpy.float64]
    defect_tickets: NDArray[numpy.float64]
    help_tickets: NDArray[numpy.float64]
    was_at_target: NDArray[numpy.bool_]
    declining_months: NDArray[numpy.int64]
    odd: tuple[str, ...] = ()


class Warehouse:
    """The warehouse at a URL of SQLAlchemy's."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    @classmethod
    def from_settings(cls, settings: Settings) -> Warehouse:
        """The warehouse that the settings name."""
        return cls(settings.warehouse_url)

    def usage(self, policy: AccountPolicy, today: date) -> Usage:
        """What is known of every account on the morning of ``today``.

        Raises an ``ApplicationError`` that is tried again when the warehouse is not there, is locked, or lacks what is asked of it.
        """
        import numpy

        accounts: dict[str, int] = {}
        parts: list[NDArray[numpy.float64]] = []
        month: date | None = None
        with self._open() as engine, engine.connect() as db:
            for rows in db.execute(query(policy, today)).partitions(PART):
                for row in rows:
                    accounts[row.account] = len(accounts)
                    month = row.month
                numbers = [[numpy.nan if (value := getattr(row, name)) is None else value for name in NUMBERS] for row in rows]
                parts.append(numpy.array(numbers, dtype=numpy.float64))
        counted = numpy.concatenate(parts).T if parts else numpy.empty((len(NUMBERS), 0))
        # Less than nothing, and more than any contract has, is not known.
        possible = (counted >= 0) & (counted <= policy.facts.most_seats * MOST_DAYS)
        known = dict(zip(NUMBERS, numpy.where(possible, counted, numpy.nan), strict=True))
        names = list(accounts)
        mau, seats = (numpy.where(known[name] > 0, known[name], numpy.nan) for name in ("mau", "seats"))
        return Usage(
            accounts=accounts,
            month=month,
            usage_score=known["user_days"] / (7 * policy.health.traits.usage_weeks) / mau,
            mau_seats=known["mau"] / seats,
            versions_behind=known["versions_behind"],
            precise_intel=numpy.where(numpy.isnan(known["languages"]), numpy.nan, known["languages"] >= 1),
            defect_tickets=known["defect_tickets"],
            help_tickets=known["help_tickets"],
            was_at_target=known["reached"] > 0,
            declining_months=numpy.nan_to_num(known["declining"]).astype(numpy.int64),
            odd=tuple(
                f"{names[place]}: {NUMBERS[number].replace('_', ' ')} is {counted[number, place]:.15g} in the warehouse"
                for place, number in numpy.argwhere((~possible & ~numpy.isnan(counted)).T)[:SHOWN].tolist()
            ),
        )

    @contextmanager
    def _open(self) -> Iterator[Engine]:
        """An engine that holds no connection back; its errors in Temporal's terms."""
        url = self._url.render_as_string()  # without the password
        path = self._url.database if self._url.get_backend_name() == "duckdb" else None
        if path not in (None, "", ":memory:") and not Path(str(path)).exists():
            raise unreachable(
                SYSTEM, f"there is no file {path}; the old scores stay until it is written there, or TENURE_WAREHOUSE_URL names another"
            )
        try:
            # Read only, or two workers that look at one file at once would lock each other out.
            engine = create_engine(self._url, poolclass=NullPool, connect_args={"read_only": True} if path else {})
        except NoSuchModuleError as error:
            raise _lacking(
                f"{url} needs a dialect of SQLAlchemy that is not installed ({error}); for BigQuery: sqlalchemy-bigquery"
            ) from None
        try:
            yield engine
        except DBAPIError as error:
            said = str(error.orig).partition("\n")[0][:300]
            if "lock" in said.lower() or error.connection_invalidated:
                raise unreachable(SYSTEM, f"{url} is in use by its writer: {said}") from None
            raise _lacking(f"{url} does not answer what is asked of it: {said}; see activities/warehouse.py for its tables") from None
        except SQLAlchemyError as error:
            raise _lacking(f"{url}: {error}") from None
        finally:
            engine.dispose()


def _lacking(message: str) -> NotDone:
    """Somebody must mend it; tried again every five minutes, and the old scores stay."""
    return NotDone(f"{SYSTEM}: {message}", type=f"{SYSTEM}Lacking", next_retry_delay=CREDENTIAL_RETRY)


# --- The query --------------------------------------------------------------------------------------------------------------


def query(policy: AccountPolicy, today: date) -> Select[Any]:
    """Everything about every account in one statement: each part a group by account, joined to all that any part knows.

    It keeps to what DuckDB, PostgreSQL and BigQuery understand alike. Shares are compared as quotients, whose rounding is that of the
    policy's own figures: 7 of 140 is 0.05 exactly, and 0.05 of 140 is more than 7.
    """
    figures, this_month = policy.health.traits, today.replace(day=1)
    monthly, used_on, asking = (_key(each) for each in (usage_monthly, usage_daily, tickets))
    most = policy.facts.most_seats
    kind = func.lower(func.trim(tickets.c.kind))
    # Until the snapshots of the last month have come, those of the month before count; older ones say nothing of today.
    newest = (
        select(func.max(usage_monthly.c.month).label("month"))
        .where(usage_monthly.c.month >= _months(this_month, -2), usage_monthly.c.month < this_month)
        .cte("newest")
    )
    last = (
        select(
            monthly,
            func.max(usage_monthly.c.mau).label("mau"),
            func.max(usage_monthly.c.seats).label("seats"),
            func.max(usage_monthly.c.versions_behind).label("versions_behind"),
            func.max(usage_monthly.c.precise_intel_languages).label("languages"),
        )
        .join_from(usage_monthly, newest, usage_monthly.c.month == newest.c.month)
        .group_by(monthly.element)
        .cte("last_month")
    )
    share = usage_monthly.c.mau / (usage_monthly.c.seats * literal(1.0))
    earlier = (
        select(monthly, func.max(case((share >= policy.get_well.target_mau_seats, 1), else_=0)).label("reached"))
        .join_from(usage_monthly, newest, usage_monthly.c.month < newest.c.month)
        .where(usage_monthly.c.mau.between(0, most), usage_monthly.c.seats.between(1, most))
        .group_by(monthly.element)
        .cte("earlier_months")
    )
    daily = (
        # The days of the window, not those with a row: who comes on two days of four weeks is no daily user.
        select(used_on, func.sum(usage_daily.c.dau).label("user_days"))
        .where(usage_daily.c.day >= today - timedelta(weeks=figures.usage_weeks), usage_daily.c.day < today)
        .where(usage_daily.c.dau.between(0, most))
        .group_by(used_on.element)
        .cte("last_weeks")
    )
    asked = (
        select(
            asking,
            func.sum(case((kind == "defect", 1), else_=0)).label("defects"),
            func.sum(case((kind == "help", 1), else_=0)).label("helps"),
        )
        .where(tickets.c.opened_on > today - timedelta(days=figures.ticket_window_days), tickets.c.opened_on <= today)
        .group_by(asking.element)
        .cte("asked")
    )
    declines = _declines(policy, this_month)
    known = union_all(*(select(part.c.account) for part in (last, earlier, daily, asked, declines))).cte("known")
    everybody = select(known.c.account).group_by(known.c.account).cte("everybody")
    joined: FromClause = everybody
    for part in (last, earlier, daily, asked, declines):
        joined = joined.outerjoin(part, part.c.account == everybody.c.account)
    return select(
        everybody.c.account,
        select(newest.c.month).scalar_subquery().label("month"),
        daily.c.user_days,
        last.c.mau,
        last.c.seats,
        last.c.versions_behind,
        last.c.languages,
        # Whom the warehouse knows and who asked nothing has no ticket; of whom it does not know, nothing is known.
        func.coalesce(asked.c.defects, 0).label("defect_tickets"),
        func.coalesce(asked.c.helps, 0).label("help_tickets"),
        earlier.c.reached,
        declines.c.declining,
    ).select_from(joined)


def _declines(policy: AccountPolicy, this_month: date) -> Any:
    """How many complete months in a row, up to the last one, each had so much less use than the month before (B17)."""
    days = (
        select(
            _key(usage_daily),
            (extract("year", usage_daily.c.day) * MONTHS + extract("month", usage_daily.c.day)).label("month"),
            (func.coalesce(usage_daily.c.searches, 0) + func.coalesce(usage_daily.c.code_intel, 0)).label("actions"),
        )
        .where(usage_daily.c.day >= _months(this_month, -MONTHS), usage_daily.c.day < this_month)
        .cte("days")
    )
    used = (
        select(days.c.account, days.c.month, func.sum(days.c.actions).label("actions")).group_by(days.c.account, days.c.month).cte("used")
    )

    def before(what: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lag(what).over(partition_by=used.c.account, order_by=used.c.month)

    pairs = select(*used.c, before(used.c.month).label("month_before"), before(used.c.actions).label("actions_before")).cte(
        "month_by_month"
    )
    lost = (pairs.c.actions_before - pairs.c.actions) / (func.nullif(pairs.c.actions_before, 0) * literal(1.0))
    declined = (pairs.c.month_before == pairs.c.month - 1) & (lost >= policy.red.decline_share)
    ends = (
        select(
            pairs.c.account,
            func.max(pairs.c.month).label("last"),
            func.max(case((declined, None), else_=pairs.c.month)).label("held"),  # the last month that was none: the first one is none
        )
        .group_by(pairs.c.account)
        .cte("month_ends")
    )
    last_month = _months(this_month, -1)
    return (
        select(ends.c.account, (ends.c.last - ends.c.held).label("declining"))
        .where(ends.c.last == last_month.year * MONTHS + last_month.month)
        .cte("declines")
    )


def _key(of: TableClause) -> Label[str]:
    """The account of a row: domains have no case."""
    return func.lower(func.trim(of.c.account)).label("account")


def _months(first: date, months: int) -> date:
    """The first of the month that many months later."""
    number = first.year * MONTHS + first.month - 1 + months
    return date(number // MONTHS, number % MONTHS + 1, 1)
