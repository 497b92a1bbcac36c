"""The registry: one instance a domain, one domain an instance, never past the cap; and whose turn it is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import event
from temporalio.exceptions import ApplicationError

from domain.effects.registry import AskOwners, Claimed, ClaimInstance, RegistryAnswer, RegistryChange
from domain.messages import Account
from domain.people import Person, Role
from domain.upkeep import AskPool, PoolChange, PoolLevel
from store.instance_changes import Pool
from store.ledger import Ledger
from store.registry import Registry
from store.roster import Roster
from store.tables import accounts, roster
from tests.rows import warm_hosts

AS_OF = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    return either_ledger


@pytest.fixture
def registry(ledger: Ledger) -> Registry:
    return Registry(ledger)


@pytest.fixture
def pool(ledger: Ledger) -> Pool:
    return Pool(ledger)


def subject(domain: str, cycle: int = 1) -> str:
    return f"trial-{domain}/0a1b2c3d.{cycle}"


def claim(domain: str, *, warm: bool = True, cap: int = 300, host: str = "", cycle: int = 1, after: int = 0) -> ClaimInstance:
    at = AS_OF + timedelta(minutes=after)
    return ClaimInstance(subject=subject(domain, cycle), domain=domain, admin=f"ada@{domain}", cap=cap, warm=warm, host=host, as_of=at)


def change(domain: str, what: str, *, host: str = "", admin: str = "", why: str = "", cycle: int = 1, after: int = 0) -> RegistryChange:
    return RegistryChange.model_validate(
        {
            "subject": subject(domain, cycle),
            "domain": domain,
            "as_of": AS_OF + timedelta(minutes=after),
            "change": what,
            "host": host,
            "admin": admin,
            "why": why,
        }
    )


def live(registry: Registry) -> int:
    """How many instances customers have or were promised."""
    return sum(bool(instance.domain) for instance in registry.instances())


def acts(ledger: Ledger) -> list[str]:
    return [row.act for row in ledger.effects()]


# --- Claims -------------------------------------------------------------------------------------------------------------------


def test_a_warm_instance_goes_to_the_domain_that_asks(registry: Registry, pool: Pool, ledger: Ledger) -> None:
    pool.pool_change(pool_change("w2.example", "ready"))
    pool.pool_change(pool_change("w1.example", "ready", AS_OF - timedelta(hours=1)))
    assert warm_hosts(registry) == ["w1.example", "w2.example"]
    got = registry.claim(claim("acme.com"))
    assert got == Claimed(outcome="claimed", host="w1.example", subject=subject("acme.com"), kind="trial", live=1, warm=1)
    assert registry.claim(claim("acme.com", after=1)) == got  # a retry
    assert warm_hosts(registry) == ["w2.example"]
    instance = registry.instance_of("acme.com")
    assert instance is not None
    assert (instance.host, instance.kind, instance.admin, instance.claimed_at) == ("w1.example", "trial", "ada@acme.com", AS_OF)
    [row] = [row for row in ledger.effects() if row.act == "instance.claimed"]
    assert (row.subject, row.system, row.as_of, row.receipt and row.receipt.ref) == (subject("acme.com"), "registry", AS_OF, "w1.example")


def test_a_claim_with_its_owners_is_one_transaction_of_nine_statements(staffed: Registry, pool: Pool, ledger: Ledger) -> None:
    for number in range(2):
        pool.pool_change(pool_change(f"w{number}.example", "ready"))
    owners = AskOwners(subject=subject("acme.com"), domain="acme.com", as_of=AS_OF)
    ask = claim("acme.com").model_copy(update={"owners": owners})
    commits, said = list[int](), list[str]()
    event.listen(ledger.engine, "commit", lambda _: commits.append(1))
    event.listen(ledger.engine, "before_cursor_execute", lambda *about: said.append(about[2].split()[0]))
    got = staffed.claim(ask)
    assert got.owners is not None
    assert (got.outcome, got.live, got.warm, got.owners.ce is not None) == ("claimed", 1, 1, True)
    work = [word for word in said if word != "BEGIN"][ledger.engine.dialect.name == "postgresql" :]  # PostgreSQL's lock is one
    assert work == ["SELECT", "UPDATE", "DELETE", "INSERT", "SELECT", "SELECT", "UPDATE", "INSERT", "INSERT"]
    assert len(commits) == 1
    assert staffed.claim(ask) == got  # a retry


def test_a_domain_has_one_instance(registry: Registry) -> None:
    assert registry.claim(claim("acme.com", warm=False, host="acme.example")).outcome == "claimed"
    owned = registry.claim(claim("acme.com", warm=False, host="acme.example", cycle=2))
    assert (owned.outcome, owned.host, owned.subject, owned.kind) == ("owned", "acme.example", subject("acme.com"), "reserved")


def test_none_is_left(registry: Registry, ledger: Ledger) -> None:
    assert registry.claim(claim("acme.com")) == Claimed(outcome="empty")
    assert acts(ledger) == []
    assert registry.instance_of("acme.com") is None


def test_the_cap_holds_and_a_refused_claim_may_ask_again(registry: Registry, ledger: Ledger) -> None:
    assert registry.claim(claim("a.com", warm=False, host="a.example", cap=1)).outcome == "claimed"
    assert registry.claim(claim("b.com", warm=False, host="b.example", cap=1)) == Claimed(outcome="full", live=1)
    assert live(registry) == 1
    registry.registry(change("a.com", "release"))
    assert registry.claim(claim("b.com", warm=False, host="b.example", cap=1)).outcome == "claimed"
    assert acts(ledger) == ["instance.reserved", "instance.released", "instance.reserved"]


def test_companies_of_one_short_name_get_hosts_of_their_own(registry: Registry) -> None:
    hosts = [registry.claim(claim(domain, warm=False, host="acme.cloud.example")).host for domain in ("acme.com", "acme.io", "acme.de")]
    assert hosts == ["acme.cloud.example", "acme-2.cloud.example", "acme-3.cloud.example"]


def test_a_reservation_names_its_host(registry: Registry) -> None:
    with pytest.raises(ApplicationError, match="needs the host"):
        registry.claim(claim("acme.com", warm=False))


def test_a_crowd_at_the_door(registry: Registry, pool: Pool, ledger: Ledger) -> None:
    for number in range(6):
        pool.pool_change(pool_change(f"w{number}.example", "ready"))
    start = threading.Barrier(8)

    def ask(number: int) -> Claimed:
        start.wait(60)
        return registry.claim(claim(f"company{number % 20}.com", cap=4))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(40)))
    claimed = [answer for answer in answers if answer.outcome == "claimed"]
    assert len({answer.host for answer in claimed}) == 4
    assert {answer.outcome for answer in answers} == {"claimed", "full"}
    assert live(registry) == 4
    owners = [instance.domain for instance in registry.instances() if instance.domain]
    assert len(owners) == len(set(owners)) == 4
    assert acts(ledger).count("instance.claimed") == 4


# --- Changes ------------------------------------------------------------------------------------------------------------------


def test_from_reservation_to_paid_instance(registry: Registry, ledger: Ledger) -> None:
    registry.claim(claim("acme.com", warm=False, host="acme.example"))
    steps = [
        change("acme.com", "ready", host="acme-x.example", admin="grace@acme.com", after=1),
        change("acme.com", "rehost", host="code.acme.example", after=2),
        change("acme.com", "convert", after=3),
    ]
    for step in steps:
        for _ in range(2):  # each twice, as a retry does
            assert registry.registry(step) == RegistryAnswer()
    instance = registry.instance_of("acme.com")
    assert instance is not None
    assert (instance.host, instance.kind, instance.admin) == ("code.acme.example", "production", "grace@acme.com")
    assert live(registry) == 1
    assert acts(ledger) == ["instance.reserved", "instance.ready", "instance.rehosted", "instance.converted"]


def test_ready_without_another_host(registry: Registry) -> None:
    registry.claim(claim("acme.com", warm=False, host="acme.example"))
    registry.registry(change("acme.com", "ready"))
    instance = registry.instance_of("acme.com")
    assert instance is not None
    assert (instance.host, instance.kind, instance.admin) == ("acme.example", "trial", "ada@acme.com")


def test_a_host_of_another_is_refused(registry: Registry) -> None:
    registry.claim(claim("a.com", warm=False, host="a.example"))
    registry.claim(claim("b.com", warm=False, host="b.example"))
    with pytest.raises(ApplicationError, match=r"a\.example is already a\.com: b\.com keeps b\.example") as refused:
        registry.registry(change("b.com", "rehost", host="a.example"))
    assert refused.value.non_retryable
    kept = registry.instance_of("b.com")
    assert kept is not None
    assert kept.host == "b.example"


def test_a_change_of_nothing_says_so(registry: Registry) -> None:
    for what in ("convert", "rehost", "ready"):
        with pytest.raises(ApplicationError, match="no instance in the registry"):
            registry.registry(change("acme.com", what, host="x.example"))


def test_a_release_tells_who_waits_longest(registry: Registry, ledger: Ledger) -> None:
    for domain in ("a.com", "b.com"):
        registry.claim(claim(domain, warm=False, host=f"{domain}.example"))
    for number, domain in enumerate(("late.com", "early.com", "last.com")):
        waits = change(domain, "wait", after=(20, 10, 30)[number])
        assert registry.registry(waits) == registry.registry(waits) == RegistryAnswer()
    assert registry.registry(change("late.com", "wait", after=50)) == RegistryAnswer()  # asking again moves nobody
    assert registry.waiting() == ["early.com", "late.com", "last.com"]
    release = change("a.com", "release", after=60)
    assert registry.registry(release) == registry.registry(release) == RegistryAnswer(waiting="early.com")
    # early.com has not come yet, and the second place is another's.
    assert registry.registry(change("b.com", "release", after=61)).waiting == "late.com"
    registry.claim(claim("early.com", warm=False, host="early.example", cap=2, after=62))
    assert registry.waiting() == ["late.com", "last.com"]
    # late.com was told and goes: its place is the next one's.
    assert registry.registry(change("late.com", "leave_queue", after=63)).waiting == "last.com"
    assert registry.registry(change("late.com", "leave_queue", after=63)).waiting == "last.com"  # a retry
    assert acts(ledger).count("domain.queued") == 3
    assert acts(ledger).count("instance.released") == 2


def test_leaving_the_queue_untold_takes_nobodys_place(registry: Registry) -> None:
    registry.registry(change("a.com", "wait"))
    registry.registry(change("b.com", "wait", after=1))
    assert registry.registry(change("a.com", "leave_queue", after=2)) == RegistryAnswer()
    assert registry.waiting() == ["b.com"]
    assert registry.registry(change("c.com", "leave_queue", after=3)) == RegistryAnswer()


def test_released_means_free_for_the_next_cycle(registry: Registry, ledger: Ledger) -> None:
    registry.claim(claim("acme.com", warm=False, host="acme.example"))
    registry.registry(change("acme.com", "release", after=1))
    assert registry.registry(change("acme.com", "release", after=1)) == RegistryAnswer()
    again = registry.claim(claim("acme.com", warm=False, host="acme.example", cycle=2, after=2))
    assert (again.outcome, again.host) == ("claimed", "acme.example")
    assert acts(ledger) == ["instance.reserved", "instance.released", "instance.reserved"]


def test_stopped_mail(registry: Registry, ledger: Ledger) -> None:
    assert ledger.suppressed(subject("acme.com")) is None
    for why in ("opted out", "terminated"):
        registry.registry(change("acme.com", "stop_mail", why=why))
    assert ledger.suppressed(subject("acme.com")) == "opted out"
    assert ledger.suppressed(subject("acme.com", 2)) is None
    assert acts(ledger) == ["mail.stopped"]


# --- The pool -----------------------------------------------------------------------------------------------------------------


def pool_change(host: str, what: str, at: datetime = AS_OF) -> PoolChange:
    return PoolChange.model_validate({"subject": "pool/1.1", "as_of": at, "host": host, "change": what})


def test_a_host_comes_into_the_pool(pool: Pool, registry: Registry, ledger: Ledger) -> None:
    for host in ("w1.example", "w2.example"):
        for _ in range(2):
            pool.pool_change(pool_change(host, "expected"))
    level = pool.pool_level(AskPool(cap=3))
    assert level == PoolLevel(warm=0, pending=2, live=0, cap_left=1, pending_hosts=("w1.example", "w2.example"))
    for _ in range(2):
        pool.pool_change(pool_change("w1.example", "ready"))
        pool.pool_change(pool_change("w2.example", "lost"))
    assert pool.pool_level(AskPool(cap=3)) == PoolLevel(warm=1, pending=0, live=0, cap_left=2)
    registry.claim(claim("acme.com"))
    assert pool.pool_level(AskPool(cap=1)) == PoolLevel(warm=0, pending=0, live=1, cap_left=0)
    pool.pool_change(pool_change("w1.example", "lost"))  # too late: it is a customer's
    pool.pool_change(pool_change("w1.example", "ready"))
    assert live(registry) == 1
    assert acts(ledger) == ["pool.expected", "pool.expected", "pool.ready", "pool.lost", "instance.claimed"]


# --- People -------------------------------------------------------------------------------------------------------------------


def person(id_: str, role: Role, **more: object) -> Person:
    return Person.model_validate({"id": id_, "name": id_.upper(), "email": f"{id_}@tenure.example", "role": role, **more})


PEOPLE = [
    person("sdr-a", Role.INBOUND_SDR),
    person("sdr-b", Role.INBOUND_SDR),
    person("nsdr", Role.NAMED_SDR),
    person("ae-a", Role.AE, paired_ce="ce-a"),
    person("ae-b", Role.AE, paired_ce="ce-b"),
    person("ce-a", Role.CE, manager="boss"),
    person("ce-b", Role.CE, manager="boss"),
    person("ce-away", Role.CE, out_of_office_until=date(2026, 4, 1)),
    person("boss", Role.CE_MANAGER),
]
NAMED = Account(id="001", domain="named.com", name="Named", named=True, prequalified=True, named_sdr="nsdr", ae="ae-b", ce="ce-a")


@pytest.fixture
def staffed(registry: Registry, ledger: Ledger) -> Registry:
    """The registry with the copies that the sync with the CRM makes."""
    with ledger.writing() as db:
        db.execute(roster.insert(), [one.model_dump() for one in PEOPLE])
        db.execute(accounts.insert().values(**NAMED.model_dump(), as_of=AS_OF))
    return registry


def ask(domain: str, **more: object) -> AskOwners:
    return AskOwners.model_validate({"subject": subject(domain), "as_of": AS_OF, **more})


def ids(registry: Registry, question: AskOwners) -> list[str]:
    owners = registry.owners(question)
    return [person.id if person else "" for person in (owners.sdr, owners.ae, owners.ce, owners.manager)]


def test_round_robin(staffed: Registry, ledger: Ledger) -> None:
    given = [ids(staffed, ask(f"c{number}.com")) for number in range(4)]
    assert given[0] == ["sdr-a", "ae-a", "ce-a", "boss"]
    assert given[1] == ["sdr-b", "ae-b", "ce-b", "boss"]
    assert given[2:] == given[:2]
    assert ids(staffed, ask("c0.com")) == given[0]  # the same subject gets the same again, and takes nobody's turn
    assert ids(staffed, ask("c4.com")) == given[0]
    assert acts(ledger) == ["owners.assigned"] * 5
    assert ledger.effects()[0].summary == "SDR SDR-A, AE AE-A, CE CE-A"


def test_a_workflow_whose_time_runs_ahead_upsets_no_order(staffed: Registry) -> None:
    ids(staffed, ask("future.com", as_of=AS_OF + timedelta(days=20)))
    assert [ids(staffed, ask(f"c{number}.com"))[0] for number in range(4)] == ["sdr-b", "sdr-a", "sdr-b", "sdr-a"]


def test_a_named_account_keeps_its_people(staffed: Registry) -> None:
    assert ids(staffed, ask("named.com", named_sdr="nsdr", ae="ae-b", ce="ce-a")) == ["nsdr", "ae-b", "ce-a", "boss"]


def test_a_ce_who_asks_is_the_ce(staffed: Registry) -> None:
    assert ids(staffed, ask("asked.com", ce_email="CE-B@tenure.example "))[2] == "ce-b"
    assert ids(staffed, ask("away.com", ce_email="ce-away@tenure.example"))[2] in ("ce-a", "ce-b")


def test_a_ce_who_becomes_known_later_is_set(staffed: Registry, ledger: Ledger) -> None:
    """The roster had no CE to give; then somebody named one: by an address of the roster, or one that the roster does not know."""
    with ledger.writing() as db:
        db.execute(roster.update().where(roster.c.role == Role.CE).values(active=False))
    assert ids(staffed, ask("acme.com"))[2] == ids(staffed, ask("dune.com"))[2] == ""
    with ledger.writing() as db:
        db.execute(roster.update().where(roster.c.id == "ce-b").values(active=True))
    before = ids(staffed, ask("acme.com"))
    known = staffed.owners(ask("acme.com", ce_email="CE-B@tenure.example"))
    assert known.ce
    assert (known.ce.id, known.manager and known.manager.id) == ("ce-b", "boss")
    assert ids(staffed, ask("acme.com")) == [before[0], before[1], "ce-b", "boss"]  # the others keep their parts
    stranger = staffed.owners(ask("dune.com", ce_email="new.ce@tenure.example"))
    assert stranger.ce
    assert (stranger.ce.id, stranger.ce.name, stranger.ce.email) == ("", "new.ce", "new.ce@tenure.example")
    assert staffed.owners(ask("dune.com", ce_email="another@tenure.example")) == stranger  # the first word stands
    assert [row.key for row in ledger.effects(workflow="trial-dune.com")] == ["owners", "owners-2"]


def test_a_stranger_who_asks_is_the_ce_from_the_start(staffed: Registry) -> None:
    owners = staffed.owners(ask("asked.com", ce_email=" New.CE@tenure.example"))
    assert owners.ce
    assert (owners.ce.email, owners.ae and owners.ae.role) == ("new.ce@tenure.example", Role.AE)


def test_an_owner_who_has_left_is_replaced_when_asked_again(staffed: Registry, ledger: Ledger) -> None:
    """Only who left: somebody on holiday keeps their trials, and so do the others."""
    before = ids(staffed, ask("acme.com"))
    with ledger.writing() as db:
        db.execute(roster.update().where(roster.c.id == before[0]).values(out_of_office_until=date(2026, 5, 1)))
    assert ids(staffed, ask("acme.com")) == before
    with ledger.writing() as db:
        db.execute(roster.update().where(roster.c.id == before[1]).values(active=False))
    owners = staffed.owners(ask("acme.com"))
    assert owners.ae
    assert (owners.ae.id, owners.notes[-1]) == ("ae-b", "AE from now on: AE-B")
    assert ids(staffed, ask("acme.com")) == [before[0], "ae-b", *before[2:]]
    assert acts(ledger) == ["owners.assigned"] * 2


def test_whoever_comes_later_finds_the_owners_of_the_instance(staffed: Registry) -> None:
    """A trial long over gave the company its instance; its AE is still the one to ask, and nobody's turn is taken."""
    staffed.claim(claim("acme.com", warm=False, host="acme.example"))
    first = staffed.owners(ask("acme.com"))
    later = AskOwners(subject=subject("acme.com", 2), as_of=AS_OF, domain="acme.com")
    assert staffed.owners(later) == first
    assert ids(staffed, ask("next.com"))[0] == "sdr-b"
    assert ids(staffed, AskOwners(subject="trial-new.com/1.1", as_of=AS_OF, domain="new.com"))[0] == "sdr-a"


def test_who_goes_away_while_waiting_leaves_the_room_to_the_next(registry: Registry) -> None:
    """Told that there is room, and ended before it was taken."""
    registry.claim(claim("a.com", warm=False, host="a.example", cap=1))
    for number, domain in enumerate(("b.com", "c.com")):
        registry.registry(change(domain, "wait", after=number))
    assert registry.registry(change("a.com", "release", after=3)).waiting == "b.com"
    gone = change("b.com", "release", after=4)
    assert registry.registry(gone).waiting == "c.com"
    assert registry.registry(gone).waiting == "c.com"  # a retry
    assert registry.waiting() == ["c.com"]


def test_nobody_is_eligible(registry: Registry, ledger: Ledger) -> None:
    assert ids(registry, ask("acme.com")) == ["", "", "", ""]
    assert ledger.effects()[0].summary == "nobody is eligible"


def test_looking_who_it_would_be_gives_nobody_a_turn(staffed: Registry, ledger: Ledger) -> None:
    assert [ids(staffed, ask("c0.com", peek=True)) for _ in range(2)] == [["sdr-a", "ae-a", "ce-a", "boss"]] * 2
    assert acts(ledger) == []
    assert ids(staffed, ask("c0.com"))[0] == "sdr-a"


def test_whom_sales_ops_appointed_is_it(registry: Registry, ledger: Ledger) -> None:
    assert ids(registry, ask("acme.com")) == ["", "", "", ""]
    with ledger.writing() as db:
        db.execute(
            roster.insert(),
            [
                {
                    "id": "ce-x",
                    "name": "X",
                    "email": "ce-x@tenure.example",
                    "role": "ce",
                    "active": True,
                    "out_of_office_until": AS_OF.date() + timedelta(days=9),
                }
            ],
        )
    assert ids(registry, ask("acme.com"))[2] == ""  # away
    given = ask("acme.com", appointed={"ce": "CE-X@tenure.example", "ae": "nobody@tenure.example"})
    assert ids(registry, given) == ["", "", "ce-x", ""]
    assert ids(registry, ask("acme.com"))[2] == "ce-x"


def test_nobody_is_skipped_in_a_crowd(staffed: Registry) -> None:
    def one(number: int) -> str:
        return ids(staffed, ask(f"c{number}.com"))[0]

    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(one, range(30)))
    assert sorted(given) == ["sdr-a"] * 15 + ["sdr-b"] * 15


def test_what_the_crm_knew(staffed: Registry) -> None:
    assert staffed.account_of("named.com") == (NAMED, AS_OF)
    assert staffed.account_of("other.com") is None
    assert sorted(Roster(staffed._ledger).roster(), key=lambda one: one.id) == sorted(PEOPLE, key=lambda one: one.id)
