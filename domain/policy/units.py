"""The units in which the figures of the policy are written, each with its bounds, and what every section of the file has in common."""

from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from domain.base import Value


@dataclass(frozen=True)
class Unit:
    """The unit that an entry of the file must name."""

    name: str


Count = Annotated[int, Field(ge=0, le=100_000)]
Days = Annotated[int, Field(ge=0, le=3_650), Unit("days")]
Span = Annotated[int, Field(ge=1, le=3_650), Unit("days")]  # at least one: a trial of no days would end as it starts
Period = Annotated[int, Field(ge=1, le=366), Unit("days")]  # at least one: a round of no days would turn in circles
WorkingDays = Annotated[int, Field(ge=0, le=260), Unit("working days")]
Hours = Annotated[int, Field(ge=1, le=8_760), Unit("hours")]  # at least one: a wait of no hours would turn in circles
OfficeHours = Annotated[int, Field(ge=0, le=2_000), Unit("office hours")]
Minutes = Annotated[int, Field(ge=1, le=100_000), Unit("minutes")]
Months = Annotated[int, Field(ge=1, le=120), Unit("months")]
HourOfDay = Annotated[int, Field(ge=0, le=24), Unit("hour of day")]
Weekday = Annotated[Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], Unit("weekday")]
Instances = Annotated[Count, Unit("instances")]
Checks = Annotated[Count, Unit("checks")]
Seats = Annotated[int, Field(ge=1, le=1_000_000), Unit("seats")]
Tickets = Annotated[int, Field(ge=0, le=1_000), Unit("tickets")]
Versions = Annotated[int, Field(ge=0, le=100), Unit("versions")]
Points = Annotated[float, Field(ge=0, le=10), Unit("points")]
Percent = Annotated[float, Field(ge=0, le=100), Unit("percent")]
Share = Annotated[float, Field(ge=0, le=1), Unit("ratio")]
Domains = Annotated[tuple[str, ...], Unit("domains")]
MODE = Unit("mode")


class Section(Value):
    """A section of the file. ``RULES`` hold between its figures (``a < b <= c``), each with the words for whoever breaks it."""

    RULES: ClassVar[dict[str, str]] = {}

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule, words in self.RULES.items():
            parts = rule.split()
            figures = [attrgetter(name)(self) for name in parts[::2]]
            for sign, (one, other) in zip(parts[1::2], pairwise(figures), strict=True):
                if one > other or (sign == "<" and one == other):
                    raise ValueError(words)
        return self
