"""The texts of ``pages.toml``: which columns a list has, what is known of a thing, and how what they name is written."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from rich.table import Table
from rich.text import Text

from starter.cli.base import console
from starter.cli.parts import GAP, coloured, day, dim, money, person, when, words

How = Callable[[Any], Text | str]
#: How the texts of every page may write what they name.
HOWS: Mapping[str, How] = {
    "day": day,
    "when": when,
    "money": money,
    "and_money": lambda amount: f", {money(amount)}",
    "some": lambda number: str(number or ""),
    "some_money": lambda amount: money(amount or None),
    "words": words,
    "names": lambda names: ", ".join(map(words, names)),
    "person": person,
    "coloured": coloured,
    "dim": dim,
    "count": lambda things: str(len(things)),
    "workflow": lambda subject: subject.rpartition("/")[0],
}


@cache
def pages() -> dict[str, Any]:
    """All that stands there."""
    return tomllib.loads(Path(__file__).with_name("pages.toml").read_text(encoding="utf-8"))


def filled(template: str, of: Any, **hows: How) -> Text:
    """A text of ``pages.toml`` with what it names of a thing; ``hows`` are the ways of writing that are this page's own."""
    lines = []
    for line in template.splitlines():
        said: list[Text | str] = []
        for before, path, how, _ in Formatter().parse(line):
            said += [before] if path is None else [before, _written(_at(of, path), how or "", hows)]
            if len(said) == 2 and not said[1]:
                break
        else:
            lines.append(Text.assemble(*said))
    return Text("\n").join(lines)


def _at(of: Any, path: str) -> Any:
    """What a path leads to from a thing; None where it ends on the way."""
    for name in path.split(".") if path else ():
        of = of.get(name) if isinstance(of, Mapping) else None if of is None else getattr(of, name)
    return of


def _written(value: Any, spec: str, hows: Mapping[str, How]) -> Text | str:
    how, _, otherwise = spec.partition("|")
    if how.startswith("?"):
        return how[1:] if value else ""
    if value is None or value == "":
        return dim(otherwise)
    known = hows.get(how) or HOWS.get(how)
    return known(value) if known else value if isinstance(value, Text) else format(value, how)


# --- Lists -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    text: str
    style: str = ""
    figure: bool = False
    whole: bool = False
    spare: int = 0


def _said(kind: str, name: str) -> dict[str, _Column]:
    """What a list or a thing has in ``pages.toml``, by its heading."""
    return {name: _Column(given) if isinstance(given, str) else _Column(**given) for name, given in pages()[kind][name].items()}


def listed(name: str, rows: Iterable[Any], **hows: How) -> Table | Text:
    """A table without lines, and without the columns in which nothing stands; or that there is nothing, where that is said of the list."""
    found, columns = list(rows), _said("lists", name)
    if not found and name in pages()["none"]:
        return Text(pages()["none"][name])
    cells = {name: [filled(column.text, row, **hows) for row in found] for name, column in columns.items()}
    shown = {name: column for name, column in columns.items() if any(cells[name])}
    texts = {name: [name, *(cell.plain for cell in cells[name])] for name in shown}
    longest = {name: max(map(len, said)) for name, said in texts.items()}
    word = {name: max(len(part) for text in said for part in text.split() or [""]) for name, said in texts.items()}
    rigid = {name for name, column in shown.items() if column.figure or column.whole or word[name] == longest[name]}
    broken = max((word[name] for name in shown if name not in rigid), default=0)  # they get narrower all alike
    least = {name: longest[name] if name in rigid else min(broken, longest[name]) for name in texts}
    for name in sorted((name for name, column in shown.items() if column.spare), key=lambda name: columns[name].spare):
        if sum(least[each] + GAP for each in shown) > console().width:
            del shown[name]
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for name, column in shown.items():
        made.add_column(name, style=column.style, justify="right" if column.figure else "left", no_wrap=name in rigid, overflow="fold")
    for row in zip(*(cells[name] for name in shown), strict=True):
        made.add_row(*row)
    return made


def known(name: str, of: Any, **hows: How) -> list[tuple[str, Text | str]]:
    """What is known of a thing, by what it is called."""
    return [(each, Text.assemble(filled(said.text, of, **hows), style=said.style)) for each, said in _said("facts", name).items()]
