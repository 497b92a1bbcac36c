"""What all commands share: how they reach Tenure, how they print, and how an error ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, TypeVar

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from domain import markup
from domain.amounts import dollars
from starter.errors import BadInput, TenureError
from starter.run import run_cli
from starter.service.bootstrap import find, open_tenure
from starter.service.tenure import Tenure

T = TypeVar("T")

#: Columns when nobody looks at a terminal: wide enough that a line of a table stays a line.
PIPED_WIDTH = 140

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a page for people.")]
Domain = Annotated[
    str, typer.Argument(metavar="DOMAIN", help="The company: its domain, any host of it, or an address.", show_default=False)
]
By = Annotated[str, typer.Option("--by", envvar="TENURE_BY", help="Who decides: your e-mail address.", show_default=False)]


def whole(text: str | int) -> int:
    """A whole number as people write it; what could mean two is asked again (F21)."""
    read = dollars(text)
    if read is None:
        raise typer.BadParameter(f"{text!r} could mean more than one number, or none; write it as 120000 or 120,000")
    return read


def ask(question: Callable[[Tenure], Awaitable[T]], *, offline: bool = False, existing: bool = False) -> T:
    """Connect, ask Tenure one thing, disconnect. ``offline``: what is asked is in the ledger, and the server need not run.

    ``existing``: there must be a ledger already; the question makes none.
    """

    async def asked() -> T:
        options = {name: True for name, wanted in (("offline", offline), ("existing", existing)) if wanted}
        async with open_tenure(find(), **options) as tenure:
            return await question(tenure)

    return run_cli(asked())


def emit(answer: Any, as_json: bool, page: Callable[[], None]) -> None:
    """Print the answer: as JSON, or as the page that ``page`` prints."""
    if as_json:
        sys.stdout.write(json.dumps(plain(answer), indent=2, ensure_ascii=False, default=str) + "\n")
    else:
        page()


def say(text: str, as_json: bool) -> None:
    """Print what was done, in words."""
    emit({"message": text}, as_json, lambda: console().print(text, markup=False))


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """What a repeatable ``NAME=VALUE`` option was given. Raises :class:`BadInput`."""
    found: dict[str, str] = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise BadInput(f"{option} {pair[:60]!r} is not NAME=VALUE", f"Write it like {option} name=value")
        found[name.strip()] = value.strip()
    return found


def plain(value: Any) -> Any:
    """The value in JSON's own types; models and dataclasses by their fields."""
    return to_jsonable_python(value)


def console(*, stderr: bool = False) -> Console:
    """Where pages are printed: as wide as the terminal, which takes no orders from what others wrote."""

    class Page(Console):
        def render(self, *given: Any) -> Iterable[Segment]:
            for part in super().render(*given):
                yield part if part.control else Segment(markup.shown(part.text), part.style)

    stream = sys.stderr if stderr else sys.stdout
    return Page(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPED_WIDTH)


def report(error: TenureError, as_json: bool) -> int:
    """Print an error where errors belong and return the exit code."""
    if as_json:
        problem = {"error": error.code, "title": error.title, "detail": error.detail, "do": error.do}
        sys.stderr.write(json.dumps(problem, indent=2, ensure_ascii=False) + "\n")
    else:
        page = console(stderr=True)
        page.print(Text.assemble((f"{error.title}: ", "bold red"), error.detail), soft_wrap=True)
        if error.do:
            page.print(Text(f"→ {error.do}", style="dim"), soft_wrap=True)
    return error.exit_code
