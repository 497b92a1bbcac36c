"""The warehouse: what customers' instances and support tell about use (4.3), read through SQLAlchemy in one query.

DuckDB in a file on a laptop, anything else by URL: BigQuery with its dialect installed. It is read and never written. Three tables:

    usage_daily     account, day, dau, searches, code_intel
    usage_monthly   account, month, mau, seats, versions_behind, precise_intel_languages   month-end snapshots of complete months
    tickets         account, opened_on, kind (defect, help), severity

``account`` is the registrable domain and ``kind`` a word, both in whatever letters; ``month`` is a day of the month. A day without a row is
a day without use. A file is opened for one query only: its writer puts a new one in
its place, which an open connection would never see.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy
from numpy.typing import NDArray
from sqlalchemy import Engine, NullPool, TextClause, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from activities.errors import Kind, unreachable
from domain.policy import AccountPolicy
from store.ledger import NotDone

SYSTEM = "Warehouse"
#: Somebody must mend it; tried again every five minutes, and the old scores stay.
LACKING = Kind("Lacking", NotDone, "{system}: {message}", timedelta(minutes=5))
#: Rows that are in Python's hands at once.
PART = 10_000
MONTHS = 12
#: How many numbers that cannot be so are named.
SHOWN = 100
#: A sum over the days of the longest window of the policy, 26 weeks, is not more than so many times as much.
MOST_DAYS = 182

_QUERY = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
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

    def usage(self, policy: AccountPolicy, today: date) -> Usage:
        """What is known of every account on the morning of ``today``.

        Raises an ``ApplicationError`` that is tried again when the warehouse is not there, is locked, or lacks what is asked of it.
        """
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
            raise LACKING(
                SYSTEM, f"{url} needs a dialect of SQLAlchemy that is not installed ({error}); for BigQuery: sqlalchemy-bigquery"
            ) from None
        try:
            yield engine
        except DBAPIError as error:
            said = str(error.orig).partition("\n")[0][:300]
            if "lock" in said.lower() or error.connection_invalidated:
                raise unreachable(SYSTEM, f"{url} is in use by its writer: {said}") from None
            raise LACKING(
                SYSTEM, f"{url} does not answer what is asked of it: {said}; see activities/warehouse.py for its tables"
            ) from None
        except SQLAlchemyError as error:
            raise LACKING(SYSTEM, f"{url}: {error}") from None
        finally:
            engine.dispose()


def query(policy: AccountPolicy, today: date) -> TextClause:
    """What is asked, with the policy's figures as of ``today``: see ``warehouse.sql``."""
    figures, this_month = policy.health.traits, today.replace(day=1)
    last_month = months_after(this_month, -1)
    return text(_QUERY).bindparams(
        today=today,
        this_month=this_month,
        oldest_snapshot=months_after(this_month, -2),
        last_month=last_month.year * MONTHS + last_month.month,
        a_year_ago=months_after(this_month, -MONTHS),
        usage_since=today - timedelta(weeks=figures.usage_weeks),
        tickets_after=today - timedelta(days=figures.ticket_window_days),
        target_mau_seats=policy.get_well.target_mau_seats,
        decline_share=policy.red.decline_share,
        most=policy.facts.most_seats,
    )


def months_after(first: date, months: int) -> date:
    """The first of the month that many months later."""
    number = first.year * MONTHS + first.month - 1 + months
    return date(number // MONTHS, number % MONTHS + 1, 1)
