"""The health score's shapes (D12, handbook 4.3): the traits that go in, and a score that explains itself."""

from datetime import date, datetime
from typing import Literal, NamedTuple

from pydantic import computed_field

from domain.base import Message, Value
from domain.wording import beside

Level = Literal["green", "yellow", "red"]
Band = Literal["healthy", "concerning", "poor", "unknown"]
CategoryName = Literal["pulse", "technical", "relationship", "utilization"]
TraitName = Literal[
    "pulse",
    "versions_behind",
    "precise_intel",
    "defect_tickets",
    "help_tickets",
    "champion",
    "buyer_access",
    "last_activity",
    "usage_score",
    "mau_seats",
]


class About(NamedTuple):
    """A trait in people's words: what it is called, its category, and where it comes from (4.3)."""

    name: str
    category: CategoryName
    source: str


_SAID = beside(__file__)
#: Every trait, and every category by name, in the handbook's order.
TRAITS: dict[TraitName, About] = {trait: About(**said) for trait, said in _SAID["traits"].items()}
CATEGORY_NAMES: dict[CategoryName, str] = _SAID["categories"]
NAMES = {trait: about.name for trait, about in TRAITS.items()}
SOURCES = {trait: about.source for trait, about in TRAITS.items()}
#: Which traits make up which category.
CATEGORIES = {name: tuple(trait for trait, about in TRAITS.items() if about.category == name) for name in CATEGORY_NAMES}


class Traits(Message):
    """What is known of one account; None is not known. ``as_of`` and ``source`` are by trait name (missing: the whole's ``at``)."""

    at: datetime
    pulse: Literal["Healthy", "Concerning", "Poor"] | None = None
    versions_behind: int | None = None
    precise_intel: bool | None = None
    defect_tickets: int | None = None
    help_tickets: int | None = None
    champion: bool | None = None
    buyer_access: bool | None = None
    last_activity_on: date | None = None
    usage_score: float | None = None
    mau_seats: float | None = None
    as_of: dict[str, datetime] = {}


class Contribution(Value):
    """What one trait gives: its colour, its points (0 to 10), and ``adds``, its part of the total. The ``adds`` of a score sum to it."""

    trait: TraitName
    value: str | int | float | bool | None
    level: Level
    points: float
    adds: float
    as_of: datetime

    @computed_field  # type: ignore[prop-decorator]
    @property
    def category(self) -> CategoryName:
        """Which category it is of."""
        return TRAITS[self.trait].category

    @computed_field  # type: ignore[prop-decorator]
    @property
    def source(self) -> str:
        """Where its value comes from."""
        return TRAITS[self.trait].source


class Category(Value):
    """A category's mean (0 to 10; None: no trait of it is known) and the weight it got after renormalising (percent)."""

    name: CategoryName
    score: float | None
    weight: float


class Guidance(Value):
    """What to do about a trait that hurts (D18–D23)."""

    trait: TraitName
    level: Level
    handbook: str
    says: str


class Delta(Value):
    """What changed the total since the last score, and why. The ``change`` of all deltas sum to the change of the total."""

    trait: TraitName
    change: float
    why: str


class Score(Message):
    """A health score that explains itself. ``total`` is 0 to 10; None with band ``unknown`` when too little is known.

    ``known`` is how much of the weight is known, ``needed`` how much a score needs, both in percent.
    """

    at: datetime
    total: float | None
    band: Band
    categories: tuple[Category, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    missing: tuple[TraitName, ...] = ()
    deltas: tuple[Delta, ...] = ()
    known: float = 0.0
    needed: float = 0.0
    policy: str = ""
