"""The hourly run over all accounts (D12): what people set in Vitally, every score, the signals to whose processes it matters, the scores back.

Each part does only what is outstanding, and the database knows what that is (``health_news``): a run that was cut off leaves the rest to
the next, and a run in which nothing changed tells nobody anything.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, delete, insert, select, update
from temporalio import activity

from activities.health.scoring import Scoring
from activities.warehouse import Warehouse
from domain.account.account import AccountFacts, HealthSnapshot
from domain.effects.vitally import ScoresWritten, ScoreWrite, ScoreWrites
from domain.health.guidance import explain
from domain.health.hourly_run import FleetScored, HandCopied, ScoreFleet, TellAccounts, Told, WriteScores
from domain.health.types import Score
from domain.policy import AccountPolicy
from store.accounts import customer_of
from store.ledger import Ledger
from store.owners import ActivePeople
from store.tables import customers, hand_traits, health, health_news

Tell = Callable[[AccountFacts], Awaitable[None]]

#: How many signals, and how many scores, are sent between two looks at the database; so many signals are under way at once.
PAGE, AT_ONCE = 100, 10
#: Seconds after which a run leaves the rest of what it has to tell to the next one: fewer than the workflow gives it.
PATIENCE = 900.0
#: How much of the evidence Vitally gets, in characters.
LONGEST_EVIDENCE = 4_000

PULSE, CHAMPION, BUYER, RED = "Relationship - CE Pulse", "Active Champion?", "Access to Buyer?", "Account - Red Account?"
PULSES = ("Healthy", "Concerning", "Poor")
_ANSWERS = {True: True, False: False, "yes": True, "no": False, "true": True, "false": False}


class News(NamedTuple):
    """What an account is to be told, outstanding since ``at``; ``met``: it was told something before."""

    at: datetime
    facts: AccountFacts
    met: bool


class Fleet:
    """The run's activities. ``accounts`` and ``write`` are Vitally's, ``tell`` is the starter's way to an account's process.

    ``beginnings_per_second`` is how many accounts begin their lives at the most.
    """

    def __init__(
        self,
        ledger: Ledger,
        warehouse: Warehouse,
        accounts: Callable[[], Iterator[dict[str, Any]]],
        write: Callable[[ScoreWrites], ScoresWritten],
        tell: Tell,
        beginnings_per_second: float = math.inf,
    ) -> None:
        self._ledger, self._warehouse = ledger, warehouse
        self._accounts, self._write, self._tell = accounts, write, tell
        self._beginnings_per_second = beginnings_per_second

    @activity.defn(name="copy_hand_traits")
    def copy_hand_traits(self) -> HandCopied:
        """Copy what people set in Vitally (D13), all or nothing. Safe to repeat: it replaces the copy."""
        as_of, rows, unreadable = datetime.now(UTC), dict[str, dict[str, Any]](), list[str]()
        for number, account in enumerate(self._accounts()):
            if number % PAGE == 0:
                activity.heartbeat(number)
            domain, traits = str(account.get("externalId") or "").strip().lower(), account.get("traits") or {}
            if domain:
                rows[domain] = {"domain": domain, "as_of": as_of, **_read(domain, traits, unreadable)}
        with self._ledger.writing() as db:
            db.execute(delete(hand_traits))
            if rows:
                db.execute(insert(hand_traits), list(rows.values()))
        return HandCopied(accounts=len(rows), unreadable=tuple(unreadable[:PAGE]))

    @activity.defn(name="score_fleet")
    def score_fleet(self, ask: ScoreFleet) -> FleetScored:
        """Score every customer, and write what differs from the last run. Safe to repeat: the second attempt finds less that differs.

        Raises an error that is tried again while the warehouse does not answer; then the old scores stay.
        """
        usage = self._warehouse.usage(ask.policy, ask.as_of.astimezone(UTC).date())
        activity.heartbeat(0)
        return Scoring(self._ledger, ask.policy, ask.as_of, usage).run(activity.heartbeat)

    @activity.defn(name="tell_accounts")
    async def tell_accounts(self, ask: TellAccounts) -> Told:
        """Send one signal to each account whose processes must know something new. Safe to repeat: a signal says how it is, not what to do.

        An account that is told for the first time begins its life then, and everything that is due for it: those begin at the pace of
        the settings, so that a signup is still answered at once, and what does not fit into this run is left to the next one.
        """
        # Everybody, once for the whole run: teams do not change while it runs.
        told, people, give_up = 0, await asyncio.to_thread(self._people), time.monotonic() + PATIENCE
        while page := await asyncio.to_thread(self._next_facts, people):
            turns, first = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(1)

            async def one(news: News, turns: asyncio.Semaphore = turns, first: asyncio.Semaphore = first) -> None:
                async with turns if news.met else first:
                    await self._tell(news.facts)
                    if not news.met:
                        activity.heartbeat(told)
                        await asyncio.sleep(1 / self._beginnings_per_second)

            sent = await asyncio.gather(*(one(news) for news in page), return_exceptions=True)
            done = [(news.facts.customer.domain, news.at) for news, answer in zip(page, sent, strict=True) if answer is None]
            await asyncio.to_thread(self._done, "facts_at", done)
            activity.heartbeat(told := told + len(done))
            if error := next((answer for answer in sent if answer is not None), None):
                raise error
            if time.monotonic() > give_up:
                break
        return Told(accounts=told)

    @activity.defn(name="write_scores")
    def write_scores(self, ask: WriteScores) -> ScoresWritten:
        """Write the scores to Vitally that it does not show yet. Safe to repeat: what is written is struck off; traits are set, not added to."""
        written, refused = 0, dict[str, str]()
        while page := self._next_scores(ask.policy):
            writes = ScoreWrites(subject=ask.subject, as_of=ask.as_of, scores=tuple(write for _, write in page))
            did = self._write(writes)
            # One that Vitally refuses is refused again: it is tried again when its score is another.
            self._done("score_at", [(write.domain, at) for at, write in page])
            written, refused = written + did.written, {**refused, **did.refused}
            activity.heartbeat(written)
        return ScoresWritten(written=written, refused=dict(list(refused.items())[:PAGE]))

    def _people(self) -> ActivePeople:
        with self._ledger.reading() as db:
            return ActivePeople.read(db)

    def _next_facts(self, people: ActivePeople) -> list[News]:
        rows = self._outstanding("facts_at", customers, health.c.standing, health_news.c.facts_at, health_news.c.met)
        return [News(row.facts_at, _facts(row, people), met=bool(row.met)) for row in rows]

    def _next_scores(self, policy: AccountPolicy) -> list[tuple[datetime, ScoreWrite]]:
        rows = self._outstanding("score_at", customers.c.domain, customers.c.name, health.c.score, health_news.c.score_at)
        return [(row.score_at, _written(policy, row)) for row in rows]

    def _outstanding(self, since: str, *columns: Any) -> Sequence[Row[Any]]:
        """The next of those accounts of which something is to be told, the oldest first."""
        query = (
            select(*columns)
            .join_from(health_news, customers, customers.c.domain == health_news.c.domain)
            .join(health, health.c.domain == health_news.c.domain, isouter=since == "facts_at")  # a score that is to be written is there
            .where(health_news.c[since].is_not(None))
            .order_by(health_news.c[since], health_news.c.domain)
            .limit(PAGE)
        )
        with self._ledger.reading() as db:
            return db.execute(query).all()

    def _done(self, what: str, of: Sequence[tuple[str, datetime]]) -> None:
        """Strike off what was outstanding since then, and not what came to be outstanding meanwhile."""
        if not of:
            return
        struck = update(health_news).where(health_news.c.domain == bindparam("of_domain"), health_news.c[what] == bindparam("since"))
        with self._ledger.writing() as db:
            met = {"met": True} if what == "facts_at" else {}
            db.execute(struck.values({what: None, **met}), [{"of_domain": domain, "since": at} for domain, at in of])


def _facts(row: Any, people: ActivePeople) -> AccountFacts:
    standing = HealthSnapshot.model_validate(row.standing) if row.standing else None
    return AccountFacts(customer=customer_of(row), team=people.team(row._asdict()), standing=standing)


def _written(policy: AccountPolicy, row: Any) -> ScoreWrite:
    score = Score.model_validate(row.score)
    evidence = "\n".join(explain(policy, score))
    return ScoreWrite(
        domain=row.domain,
        name=row.name,
        traits={
            "Health Score": None if score.total is None else round(score.total, 2),
            "Health Band": score.band,
            "Health Evidence": evidence if len(evidence) <= LONGEST_EVIDENCE else evidence[: LONGEST_EVIDENCE - 1] + "…",
            "Health Scored At": score.at.isoformat(),
        },
    )


def _read(domain: str, traits: dict[str, Any], unreadable: list[str]) -> dict[str, Any]:
    """What people said, in our words. What cannot be read is not known, and named."""

    def said(name: str, meanings: dict[Any, Any]) -> Any:
        value = traits.get(name)
        if value is None or value == "":
            return None
        key = value.strip().lower() if isinstance(value, str) else value
        if isinstance(key, str | bool) and key in meanings:
            return meanings[key]
        unreadable.append(f"{domain}: {name} is {str(value)[:40]!r}")
        return None

    pulse = said(PULSE, {word.lower(): word for word in PULSES})
    return {"pulse": pulse, **{field: said(name, _ANSWERS) for field, name in _YES_OR_NO.items()}}


_YES_OR_NO = {"champion": CHAMPION, "buyer_access": BUYER, "red": RED}
