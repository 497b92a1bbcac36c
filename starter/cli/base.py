"""What all commands share: how they reach Tenure, how they print, and how an error ends."""

import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Annotated, Any, TypeVar

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from domain import markup
from domain.amounts import dollars
from starter import startup
from starter.errors import BadInput
from starter.run import run_cli
from starter.service.bootstrap import find, open_tenure
from starter.service.tenure import Tenure

T = TypeVar("T")

#: Columns when nobody looks at a terminal: wide enough that a line of a table stays a line.
PIPED_WIDTH = 140


def option(name: str, help: str, metavar: str | None = None) -> Any:
    """An option of a command, whose default goes without saying."""
    return typer.Option(name, help=help, metavar=metavar, show_default=False)


def argument(metavar: str, help: str) -> Any:
    """What a command takes by its place."""
    return typer.Argument(metavar=metavar, help=help, show_default=False)


Json = Annotated[bool, option("--json", "Print JSON instead of a page for people.")]
Domain = Annotated[str, argument("DOMAIN", "The company: its domain, any host of it, or an address.")]
Account = Annotated[str, argument("ACCOUNT", "The customer: its domain, or any host of it.")]
By = Annotated[str, typer.Option("--by", envvar="TENURE_BY", help="Who decides: your e-mail address.", show_default=False)]
Event = Annotated[str, option("--event-id", "An id of your own for this event; sent twice, it has effect once.")]


def number(text: str | int) -> int:
    """A whole number as people write it; what could mean two is asked again (F21)."""
    read = dollars(text)
    if read is None:
        raise typer.BadParameter(f"{text!r} could mean more than one number, or none; write it as 120000 or 120,000")
    return read


def ask(question: Callable[[Tenure], Awaitable[T]], *, offline: bool = False, existing: bool = False) -> T:
    """Connect as :func:`open_tenure` does, ask Tenure one thing, disconnect."""

    async def asked() -> T:
        async with open_tenure(find(), offline=offline, existing=existing) as tenure:
            return await question(tenure)

    return run_cli(asked())


def emit(answer: T, as_json: bool, page: Callable[[T], Any]) -> None:
    """Print the answer: as JSON, or as the page that ``page`` makes of it, which is one part or yields several; text is never markup."""
    if as_json:
        sys.stdout.write(json.dumps(to_jsonable_python(answer), indent=2, ensure_ascii=False, default=str) + "\n")
        return
    made = page(answer)
    for part in made if isinstance(made, Iterator) else [made]:
        console().print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))


def whole(text: str, style: str = "") -> Text:
    """A text of which no line is broken."""
    return Text(text, style=style, no_wrap=True)


def say(text: str, as_json: bool, answer: Any = None, *, unbroken: bool = False) -> None:
    """Print what was done, in words; as JSON ``answer``, when there is more to say than these. ``unbroken``: no line of it is broken."""
    emit({"message": text} if answer is None else answer, as_json, lambda _: whole(text) if unbroken else text)


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """What a repeatable ``NAME=VALUE`` option was given. Raises :class:`BadInput`."""
    found: dict[str, str] = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise BadInput(f"{option} {pair[:60]!r} is not NAME=VALUE", f"Write it like {option} name=value")
        found[name.strip()] = value.strip()
    return found


def console(*, stderr: bool = False) -> Console:
    """Where pages are printed: as wide as the terminal, which takes no orders from what others wrote."""

    class Page(Console):
        def render(self, *given: Any) -> Iterable[Segment]:
            for part in super().render(*given):
                yield part if part.control else Segment(markup.shown(part.text), part.style)

    stream = sys.stderr if stderr else sys.stdout
    return Page(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPED_WIDTH)


def report(error: Exception, as_json: bool) -> int | None:
    """Print an error where errors belong and return the exit code; None when it is none that people can do something about."""
    known = startup.in_words(error)
    if known is None:
        return None
    if as_json:
        problem = {"error": known.code, "title": known.title, "detail": known.detail, "do": known.do}
        sys.stderr.write(json.dumps(problem, indent=2, ensure_ascii=False) + "\n")
    else:
        page = console(stderr=True)
        page.print(Text.assemble((f"{known.title}: ", "bold red"), known.detail), soft_wrap=True)
        if known.do:
            page.print(Text(f"→ {known.do}", style="dim"), soft_wrap=True)
    return known.exit_code
