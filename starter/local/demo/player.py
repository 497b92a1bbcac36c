"""Who plays a story of the demo: what a company and a customer have in common. Each step waits until it has come true, and says so on the board."""

import tomllib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
from temporalio.service import RPCError

from starter.errors import TenureError
from starter.local.demo.board import State
from starter.local.demo.director import Director, Miss, eventually
from starter.service.queries import each_of

#: Players at once: enough to keep a small machine busy, few enough that each gets on.
AT_ONCE = 6

_STORIES = Path(__file__).with_name("stories.toml")


@dataclass(frozen=True)
class History:
    """One run of a workflow: how many events, how long by its own clock, and its failed workflow tasks in words."""

    events: int = 0
    length: timedelta = timedelta()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A line of the report: what a person reads, the name first and the end last; then figures; and the same for a program."""

    texts: tuple[str, ...]
    figures: tuple[str, ...]
    data: Mapping[str, Any]
    good: bool


@dataclass(frozen=True)
class Story:
    """A case in words, and its steps: each names a method of the player, then its arguments, those with a name in a table at the end.

    ``name`` is the company's, ``account`` what the CRM knows of it before (None: nothing); a renewal's customer brings both along.
    """

    case: str
    steps: Sequence[Sequence[Any]]
    name: str = ""
    account: Mapping[str, Any] | None = None


def stories(kind: str) -> tuple[Story, ...]:
    """The stories of ``stories.toml``: ``trials`` or ``renewals``."""
    given = tomllib.loads(_STORIES.read_text(encoding="utf-8"))
    return tuple(
        Story(each["case"], each["steps"], each.get("name", ""), given["accounts"].get(each.get("account"))) for each in given[kind]
    )


class Player(ABC):
    """One who plays. ``place`` is where the API tells of the story's own process, by ``key``.

    ``beside`` are the processes beside it, by what the steps call them.
    """

    place: ClassVar[str]

    def __init__(self, director: Director, story: Story, name: str, key: str) -> None:
        self._director, self.story, self.name, self.key = director, story, name, key
        self.beside: dict[str, str] = {}
        self.problem = self.stage = ""

    async def play(self) -> None:
        """Do what the story says, step by step. Raises :class:`Miss` when it goes another way."""
        for verb, *given in self.story.steps:
            named = given.pop() if given and isinstance(given[-1], Mapping) else {}
            await getattr(self, verb)(*given, **named)

    async def answered(self, task: str, choice: str, *, of: str = "", **more: Any) -> None:
        """Whoever is asked answers a task: of the story's own process, or of the one beside it that is called ``of``."""
        did = await self._director.cue("answer", task=task, choice=choice, **self.whose(of), **more)
        self.tell(f"{did['by'].partition('@')[0]} answers “{did['title']}”: {choice}")

    async def view(self, *, at: str = "") -> dict[str, Any]:
        """Everything that the API tells of the story's own process, or of the one that it has at another place."""
        return dict(await self._director.get(self._director.web, f"/api/{at or self.place}/{quote(self.key)}"))

    async def _until(self, what: str, there: Callable[[dict[str, Any]], bool], *, at: str = "") -> dict[str, Any]:
        """The status of that process, once it is as it should be."""

        async def look() -> dict[str, Any]:
            status: dict[str, Any] = (await self.view(at=at))["status"]
            return status if there(status) else {}

        return await eventually(what, look)

    def _expect(self, what: str, got: object, expected: object) -> None:
        if got != expected:
            raise Miss(f"{what} is {got!r}, not {expected!r}")

    def whose(self, of: str = "") -> dict[str, str]:
        """By what an actor finds the tasks of a process."""
        return {"workflow": self.beside[of]} if of else self.own

    def tell(self, last: str, *, state: State = "plays", day: int | None = None, stage: str = "") -> None:
        """Something happened."""
        self._director.board.tell(self.name, last, state=state, day=day, stage=stage or self.stage)

    @property
    @abstractmethod
    def own(self) -> dict[str, str]:
        """By what an actor finds the tasks of the story's own process."""

    @property
    @abstractmethod
    def became(self) -> tuple[str, str]:
        """What became of it, and its last stage, once the story has been played to its end."""

    @abstractmethod
    def executions(self) -> str:
        """The query that lists every execution of theirs."""

    async def left_open(self, running: set[str]) -> set[str]:
        """Those of their running workflows that should have ended, by their ids: all, unless a story leaves one."""
        return running

    @abstractmethod
    async def rows(self, histories: Mapping[tuple[str, str], History]) -> list[Row]:
        """Their part of the report; ``histories`` are of every run, by its workflow's id and its own."""


async def perform(director: Director, players: Sequence[Player]) -> None:
    """Have all of them play; what went wrong with one stands in it and stops no other."""
    director.board.cast({player.name: player.story.case for player in players})

    async def one(player: Player) -> None:
        try:
            await player.play()
        except (Miss, TenureError, RPCError, httpx.HTTPError, TimeoutError) as error:
            player.problem = " ".join(str(error).split()) or type(error).__name__
            player.tell(player.problem, state="failed")
        else:
            last, stage = player.became
            player.tell(last, state="ended", stage=stage)

    await each_of(players, one, AT_ONCE)
