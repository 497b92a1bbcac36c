"""The vendor's customers: a fleet of invented companies with contracts, people, habits and histories, the same for the same seed.

:func:`fleet` makes them up; :func:`seed` puts them into the stand-ins: the CRM (an account with an open renewal), the licensing API
(a production subscription with its key), Vitally (the traits that people set by hand) and, when asked, the warehouse file.

A fleet is of a day: contracts, deployments and turns of fortune lie around it. The CRM keeps that day (``AccountSource``), so that a
sandbox that is started again later goes on with the same customers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count as numbers
from pathlib import Path
from random import Random
from typing import Any, Literal
from uuid import NAMESPACE_DNS, uuid5

from sandbox import warehouse
from sandbox.core import World
from sandbox.graphql_api import LicenseInfo, encode_license, global_id
from sandbox.licensing import License, Subscription
from sandbox.org import MAIL_DOMAIN, PEOPLE
from sandbox.warehouse import Usage

SEED = 7
Profile = Literal["steady", "growing", "onboarding", "low", "declining", "spiky", "dead", "not_deployed"]
Colour = Literal["Green", "Yellow", "Red"]

#: How often each profile occurs, in percent.
PROFILES: dict[Profile, int] = {
    "steady": 36, "growing": 14, "low": 14, "declining": 12, "spiky": 9, "onboarding": 7, "dead": 5, "not_deployed": 3,
}  # fmt: skip

#: The tags of a production key, and the seats that it allows beyond those sold: the vendor's operators sign in too.
KEY_TAGS = ("plan:enterprise-1", "private-extension-registry", "remote-extensions-allow-disallow", "monitoring", "true-up")
KEY_BUFFER = 10

STEMS = (
    "Alderwick", "Amberlin", "Anvilcrest", "Arborane", "Ashgrove", "Asterion", "Auricle", "Basaltine", "Bellfern", "Birchmoor",
    "Bramblen", "Brightmere", "Calderon Bay", "Candlewood", "Cascarel", "Cedarline", "Cindermoor", "Clovermint", "Copperfen", "Coralis",
    "Crestwyn", "Dapplewood", "Dawnfield", "Driftmark", "Duskwater", "Eastmarch", "Elderfin", "Emberlyn", "Evenlake", "Fallowend",
    "Farrowgate", "Fennimore", "Ferncliff", "Flintridge", "Foxmarsh", "Galeford", "Gildenrow", "Glimmerton", "Gorsehill", "Graniteer",
    "Harrowdene", "Hawkmoss", "Hazelbrook", "Heronsgate", "Hollowpine", "Indigomar", "Ironwillow", "Islemoor", "Ivorywell", "Jadefern",
    "Kelpshore", "Kindlewood", "Kitewell", "Larkspire", "Lindenmark", "Lochmere", "Loomcraft", "Lyrebank", "Maplethorn", "Marlowick",
    "Meadowlark Row", "Mistralune", "Mosswater", "Nettlebay", "Nightjar", "Northfen", "Oakhollow", "Ochreline", "Osprey Point", "Otterburn Lane",
    "Palisander", "Pebblecroft", "Pinemarrow", "Plumstone", "Quarryfield", "Quillmoor", "Ravenwick", "Reedmace", "Rosinwood", "Rowanhurst",
    "Saffronel", "Saltmarch", "Sandpiper Row", "Sedgewater", "Silverbirk", "Sorrelgate", "Starling Hill", "Stonecrop", "Sundew", "Swiftmoor",
    "Tallowick", "Tamarisk", "Thistledown", "Thornfield Bay", "Tidewrack", "Umberline", "Valemont Hill", "Vesperwood", "Wharfside", "Whinmoor",
    "Willowmere", "Wrenfield", "Yarrowgate", "Zephyrine",
)  # fmt: skip
BUSINESSES = (
    ("Aerospace", "Aerospace"), ("Analytics", "Technology"), ("Apparel", "Retail"), ("Assurance", "Insurance"), ("Athletics", "Retail"),
    ("Bank", "Banking"), ("Biotech", "Biotechnology"), ("Broadcasting", "Media"), ("Brokerage", "Finance"), ("Capital", "Finance"),
    ("Cloud", "Technology"), ("Commerce", "Retail"), ("Devices", "Electronics"), ("Diagnostics", "Healthcare"), ("Energy", "Energy"),
    ("Foods", "Food & Beverage"), ("Freight", "Transportation"), ("Games", "Entertainment"), ("Genomics", "Biotechnology"),
    ("Health", "Healthcare"), ("Hotels", "Hospitality"), ("Insurance", "Insurance"), ("Labs", "Technology"), ("Learning", "Education"),
    ("Logistics", "Transportation"), ("Markets", "Finance"), ("Media", "Media"), ("Mobility", "Transportation"), ("Motors", "Manufacturing"),
    ("Networks", "Telecommunications"), ("Payments", "Finance"), ("Pharma", "Biotechnology"), ("Rail", "Transportation"),
    ("Robotics", "Manufacturing"), ("Security", "Technology"), ("Semiconductors", "Electronics"), ("Software", "Technology"),
    ("Systems", "Technology"), ("Telecom", "Telecommunications"), ("Travel", "Hospitality"), ("Utilities", "Utilities"), ("Works", "Manufacturing"),
)  # fmt: skip
#: How many names there are; some way round them that passes each once. The golden ratio spreads the profiles over a fleet of any size.
MOST = len(STEMS) * len(BUSINESSES)
STRIDE = 1009
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class FleetAccount:
    """One customer. ``arr`` is in dollars a year; ``ae``, ``ce`` and ``ta`` are handles; what nobody has said is None.

    ``contract_start`` is the day of the first deal, ``contract_end`` the end of the term that runs, which is the renewal date.
    """

    number: int
    name: str
    domain: str
    industry: str
    employees: int
    region: str
    segment: str
    seats: int
    arr: int
    contract_start: date
    contract_end: date
    term_months: int
    deployed_on: date | None
    ae: str
    ce: str
    ta: str
    profile: Profile
    health: Colour
    pulse: str | None
    champion: bool | None
    buyer: bool | None
    last_activity_on: date | None
    usage: Usage

    @property
    def slug(self) -> str:
        """The company's name in licence accounts and tags."""
        return self.domain.replace(".", "-")


def segment_of(seats: int, arr: int) -> str:
    """The segment of a customer by seats and dollars a year (reference.md 4.1)."""
    if seats >= 10_000 or arr >= 1_000_000:
        return "Strategic"
    return "Enterprise" if seats >= 1_500 or arr >= 100_000 else "Commercial"


def fleet(count: int, today: date, seed: int = SEED) -> list[FleetAccount]:
    """The first ``count`` customers as of ``today``; a larger fleet begins with the same ones. ValueError when there are no names left."""
    if not 0 <= count <= MOST:
        raise ValueError(f"a fleet has from 0 to {MOST} customers, not {count}; sandbox.warehouse.write_large makes more, without names")
    return [_account(number, today, seed) for number in range(1, count + 1)]


# --- Making one up ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fortune:
    """What a profile brings with it. Chances are in percent, for traits in the order green, yellow, red; ages are in days."""

    youngest: int
    oldest: int
    traits: tuple[int, int, int]
    champion: int
    buyer: int
    quiet_days: tuple[int, int]
    tickets: tuple[float, float]
    precise: int
    lag: tuple[int, ...]


_GOOD = _Fortune(150, 1125, (86, 12, 2), 92, 86, (0, 17), (0.9, 5), 92, (0, 0, 0, 0, 1))
_FAIR = _Fortune(150, 1125, (38, 50, 12), 62, 58, (2, 30), (2.2, 8), 70, (0, 0, 1, 2))
_BAD = _Fortune(330, 1125, (12, 52, 36), 40, 42, (5, 48), (3.4, 11), 62, (0, 1, 2, 4))
_FORTUNES: dict[Profile, _Fortune] = {
    "steady": _GOOD,
    "growing": _GOOD,
    "onboarding": _Fortune(35, 85, (72, 26, 2), 88, 80, (0, 10), (1.6, 9), 66, (0,)),
    "low": _FAIR,
    "spiky": _FAIR,
    "declining": _BAD,
    "dead": _Fortune(330, 1125, (0, 30, 70), 12, 20, (22, 80), (0.3, 1.5), 40, (3, 4, 6)),
    "not_deployed": _Fortune(12, 105, (28, 48, 24), 66, 62, (3, 32), (0.4, 3), 0, (0,)),
}


def _account(number: int, today: date, seed: int) -> FleetAccount:
    chance = Random(f"{seed} {number}")
    profile = _profile(number, seed)
    fortune = _FORTUNES[profile]
    name, domain, industry = _name(number, seed, chance)
    seats, arr = _size(chance)
    start, end, term = _contract(profile, fortune, today, chance)
    deployed = None if profile == "not_deployed" else start + timedelta(chance.randint(20, min(70, (today - start).days - 8)))
    usage = _usage(profile, fortune, deployed or today, today, chance)
    ae = chance.choice([person for person in PEOPLE if person.role == "ae"])
    ta = chance.choice([person for person in PEOPLE if person.role == "ta" and person.region == ae.region])
    quiet = chance.randint(*fortune.quiet_days) + (chance.random() < 0.06) * chance.randint(8, 30)
    pulse = chance.choices(("Healthy", "Concerning", "Poor"), fortune.traits)[0]
    champion, buyer = (chance.random() * 100 < percent for percent in (fortune.champion, fortune.buyer))
    return FleetAccount(
        number=number,
        name=name,
        domain=domain,
        industry=industry,
        employees=int(round(seats * chance.uniform(1.6, 9), -1)),
        region=ae.region,
        segment=segment_of(seats, arr),
        seats=seats,
        arr=arr,
        contract_start=start,
        contract_end=end,
        term_months=term,
        deployed_on=deployed,
        ae=ae.handle,
        ce=ae.ce,
        ta=ta.handle,
        profile=profile,
        health=_colour(profile, usage, start, today, chance),
        pulse=None if chance.random() < 0.06 else pulse,
        champion=None if chance.random() < 0.08 else champion,
        buyer=None if chance.random() < 0.10 else buyer,
        last_activity_on=None if chance.random() < 0.02 else max(start, today - timedelta(quiet)),
        usage=usage,
    )


def _profile(number: int, seed: int) -> Profile:
    at = (number + seed) * GOLDEN % 1 * sum(PROFILES.values())
    for profile, percent in PROFILES.items():
        at -= percent
        if at < 0:
            return profile
    return "steady"


def _name(number: int, seed: int, chance: Random) -> tuple[str, str, str]:
    at = (number + seed * 97) * STRIDE % MOST
    stem = STEMS[at % len(STEMS)]
    business, industry = BUSINESSES[at // len(STEMS)]
    words = f"{stem} {business}".lower()
    domain = words.replace(" ", chance.choice(("-", "-", "")))
    return f"{stem} {business}", f"{domain}.example", industry


def _size(chance: Random) -> tuple[int, int]:
    """Seats, and dollars a year: many small customers, few large ones, who pay less for a seat."""
    match chance.choices(("small", "middle", "large"), (56, 34, 10))[0]:
        case "small":
            seats = int(round(40 * 30 ** chance.random(), -1))
            low, high = 100 * seats, min(240 * seats, 99_500)
        case "middle":
            seats = int(round(500 * 18 ** chance.random(), -2))
            low, high = max(70 * seats, 100_000), min(230 * seats, 990_000)
        case _:
            seats = int(round(7_500 * 4.5 ** chance.random(), -3))
            low, high = max(60 * seats, 1_000_000), max(140 * seats, 1_500_000)
    return seats, round(chance.uniform(min(low, 0.8 * high), high) / 500) * 500


def _contract(profile: Profile, fortune: _Fortune, today: date, chance: Random) -> tuple[date, date, int]:
    """The first day, the end of the term that runs, its months. Deals close towards the end of the vendor's quarters, so terms end there."""
    if fortune.oldest < 365:
        start = today - timedelta(chance.randint(fortune.youngest, fortune.oldest))
        return start, _months(start, 12) - timedelta(1), 12
    end = today + timedelta(chance.randint(3, 400))
    if chance.random() < 0.45:
        quarter = chance.choice(list(_quarter_ends(today + timedelta(3), today + timedelta(400))))
        end = max(quarter - timedelta(chance.choice((0, 0, 0, 1, 1, 2, 3, 5, 8))), today + timedelta(2))
    terms = [(12, 12), (12, 24), (12, 36), (24, 24), (36, 36)]
    starts = [(_months(end + timedelta(1), -before), term) for term, before in terms]
    fitting = [(start, term) for start, term in starts if fortune.youngest <= (today - start).days <= fortune.oldest]
    start, term = chance.choice(fitting)
    return start, end, term


def _usage(profile: Profile, fortune: _Fortune, deployed: date, today: date, chance: Random) -> Usage:
    """The curve of a profile; see :class:`sandbox.warehouse.Usage`."""

    def between(low: float, high: float) -> float:
        return round(chance.uniform(low, high), 3)

    def turn(least: int, most: int) -> date:
        return max(today - timedelta(chance.randint(least, most)), deployed + timedelta(60))

    match profile:
        case "steady":
            level = between(0.84, 1.02)
            stick = between(0.34, 0.46) if chance.random() < 0.88 else between(0.24, 0.30)
            curve: dict[str, Any] = {"from_share": level, "to_share": level, "from_stick": stick, "to_stick": stick, "turn_on": deployed}
        case "growing":
            curve = {"from_share": between(0.45, 0.66), "to_share": between(0.82, 0.98), "from_stick": between(0.27, 0.34)}
            curve |= {"to_stick": between(0.32, 0.42), "turn_on": deployed + timedelta(30), "turn_days": chance.randint(90, 420)}
        case "onboarding":
            stick, level = between(0.26, 0.42), between(0.62, 0.97)
            curve = {"from_share": level, "to_share": level, "from_stick": stick, "to_stick": stick, "turn_on": deployed, "ramp_days": 13.0}
        case "low":
            stick, level = between(0.14, 0.35), between(0.30, 0.76)
            curve = {"from_share": level, "to_share": level, "from_stick": stick, "to_stick": stick, "turn_on": deployed, "wave": 0.04}
        case "declining":
            curve = {"from_share": between(0.86, 1.0), "to_share": between(0.32, 0.76), "from_stick": between(0.31, 0.42)}
            curve |= {"to_stick": between(0.17, 0.30), "turn_on": turn(60, 210), "turn_days": chance.randint(45, 150)}
        case "spiky":
            stick, level = between(0.22, 0.33), between(0.70, 0.88)
            curve = {"from_share": level, "to_share": level, "from_stick": stick, "to_stick": stick, "turn_on": deployed, "bursts": True}
            curve |= {"wave": between(0.12, 0.28), "wave_days": chance.randint(75, 120)}
        case _:
            curve = {"from_share": between(0.55, 0.9), "to_share": between(0.01, 0.07), "from_stick": between(0.26, 0.36)}
            curve |= {"to_stick": between(0.06, 0.18), "turn_on": turn(130, 300), "turn_days": chance.randint(40, 90)}
    busy = chance.choices((0.5, 1.0, 2.4), (50, 36, 14))[0]
    lag = chance.choice(fortune.lag)
    return Usage(
        **{"turn_days": 1} | curve,
        defects=round(fortune.tickets[0] * busy, 2),
        questions=round(fortune.tickets[1] * busy, 2),
        lag=lag,
        upgrade_months=chance.choice((1, 1, 2, 2, 3)) + lag // 2,
        languages=chance.randint(1, 6) if chance.random() * 100 < fortune.precise else 0,
    )


def _colour(profile: Profile, usage: Usage, start: date, today: date, chance: Random) -> Colour:
    """The health that the account team wrote into the CRM when they last looked."""
    late = profile == "not_deployed" and (today - start).days > 60
    gone = profile == "declining" and usage.to_share < 0.5 and chance.random() < 0.5
    if late or gone or (profile == "dead" and chance.random() < 0.8):
        return "Red"
    doubtful = profile in ("dead", "declining") or (profile in ("low", "spiky", "not_deployed") and chance.random() < 0.6)
    return "Yellow" if doubtful or chance.random() < 0.04 else "Green"


def _months(day: date, months: int) -> date:
    """That many months later; the 31st of a shorter month is its last."""
    number = day.year * 12 + day.month - 1 + months
    first = date(number // 12, number % 12 + 1, 1)
    last = date((number + 1) // 12, (number + 1) % 12 + 1, 1) - timedelta(1)
    return first.replace(day=min(day.day, last.day))


def _quarter_ends(since: date, until: date) -> Iterator[date]:
    """The last days of the vendor's quarters, whose year begins in February."""
    first = since.replace(day=1)
    for months in numbers():
        after = _months(first, months)
        if after > until:
            return
        if after.month in (2, 5, 8, 11) and after - timedelta(1) >= since:
            yield after - timedelta(1)


# --- Into the stand-ins -----------------------------------------------------------------------------------------------------


def founded(world: World, seed: int = SEED) -> date | None:
    """The day of the fleet that the CRM holds, None when it holds none."""
    for record in world.services["salesforce"].org.records["account"].values():
        found = re.fullmatch(r"Fleet (\d+) of (\d{4}-\d\d-\d\d)", record["AccountSource"] or "")
        if found and int(found[1]) == seed:
            return date.fromisoformat(found[2])
    return None


def seed(world: World, count: int, today: date, *, seed: int = SEED, file: Path | None = None) -> list[FleetAccount]:
    """Make ``count`` customers known to every stand-in, without effects, and to the warehouse in ``file`` when that is given; returns them.

    What the CRM holds already stays as it is, and the others join as of the day of those: so it is safe to do again, with a larger
    ``count`` too. The file is left alone when it has these customers up to yesterday.
    """
    with world.lock:
        founding = founded(world, seed) or today
        accounts = fleet(count, founding, seed)
        org = world.services["salesforce"].org
        known = {record["Domain__c"] for record in org.records["account"].values()}
        new = [account for account in accounts if account.domain not in known]
        subscriptions = {account.domain: _subscribe(world, account) for account in new}
        org.seed({"accounts": [_crm_account(account, subscriptions[account.domain], founding, seed) for account in new]})
        ids = {record["Domain__c"]: record["Id"] for record in org.records["account"].values()}
        org.seed({"opportunities": [_crm_renewal(account, ids[account.domain], founding) for account in new]})
        world.services["vitally"].seed({"accounts": [_vitally_account(account) for account in new]})
    if new:
        world.touched()
    if file is not None and not warehouse.covers(file, accounts, today):
        warehouse.write(file, accounts, today, seed=seed)
    return accounts


def _email(handle: str) -> str:
    return f"{handle}@{MAIL_DOMAIN}"


def _crm_account(account: FleetAccount, subscription: str, founding: date, seed: int) -> dict[str, Any]:
    return {
        "Name": account.name,
        "Domain__c": account.domain,
        "Website": f"https://{account.domain}",
        "Type": "Customer",
        "Industry": account.industry,
        "AccountSource": f"Fleet {seed} of {founding}",
        "NumberOfEmployees": account.employees,
        "OwnerId": _email(account.ae),
        "Account_Executive__c": _email(account.ae),
        "Customer_Engineer__c": _email(account.ce),
        "Technical_Advisor__c": _email(account.ta),
        "Segment__c": account.segment,
        "Seats__c": account.seats,
        "ARR__c": float(account.arr),
        "Contract_Start__c": account.contract_start.isoformat(),
        "Contract_End__c": account.contract_end.isoformat(),
        "Deployed_On__c": account.deployed_on.isoformat() if account.deployed_on else None,
        "Customer_Health__c": account.health,
        "License_Subscription__c": subscription,
        "LastActivityDate": account.last_activity_on.isoformat() if account.last_activity_on else None,
    }


def _crm_renewal(account: FleetAccount, account_id: str, founding: date) -> dict[str, Any]:
    left = (account.contract_end - founding).days
    stages = ((30, "Negotiation/Review"), (60, "Proposal/Price Quote"), (120, "Value Proposition"), (180, "Needs Analysis"))
    return {
        "Name": f"{account.name}: renewal {account.contract_end}",
        "AccountId": account_id,
        "OwnerId": _email(account.ae),
        "Customer_Engineer__c": _email(account.ce),
        "Type": "Renewal",
        "StageName": next((stage for days, stage in stages if left <= days), "Qualification"),
        "CloseDate": account.contract_end.isoformat(),
        "Amount": float(account.arr),
        "Contract_End__c": account.contract_end.isoformat(),
        "Seats__c": account.seats,
    }


def _vitally_account(account: FleetAccount) -> dict[str, Any]:
    said = {
        "Relationship - CE Pulse": account.pulse,
        "Active Champion?": account.champion,
        "Access to Buyer?": account.buyer,
        "Account - Red Account?": account.health == "Red",
    }
    return {
        "externalId": account.domain,
        "name": account.name,
        "traits": {name: value for name, value in said.items() if value is not None},
    }


def _subscribe(world: World, account: FleetAccount) -> str:
    """A production subscription whose one key lives until the contract's end; its id."""
    service = world.services["licensing"]
    owner = service.add_owner(account.slug, "")
    began = datetime.combine(account.contract_start, time(), UTC)
    held = Subscription(service.new_number(), str(uuid5(NAMESPACE_DNS, account.domain)), owner.number, began)
    ends = int(datetime.combine(account.contract_end, time(), UTC).timestamp())
    info = LicenseInfo((*KEY_TAGS, f"customer:{account.slug}"), account.seats + KEY_BUFFER, ends)
    made = License(service.new_number(), encode_license(info, held.uuid[:8]), info, held.number, began)
    held.licenses.append(made)
    service.subscriptions[held.number] = held
    service.licenses[made.number] = made
    return global_id("ProductSubscription", held.number)
