"""``docs/handbook.md`` is true: every file, test, figure, command, page, schedule, task and message that it names is there, and no id is missing."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main
from fastapi import FastAPI
from starlette.routing import Match
from temporalio import workflow

from domain import policy as policies
from domain.task import TaskKind
from starter.cli.app import app
from starter.cli.lazy import loaded
from starter.service.schedules import recurring
from tests.starter.web_fakes import site_in
from workflows.all import ALL
from workflows.frame.tasks import QUESTIONS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "handbook.md"
PARTS = ("domain", "store", "activities", "workflows", "starter")

#: How far each letter of the handbook's ids counts: cloud trials, the CE's customers, the technical win, the TA's accounts.
LAST = {"A": 32, "B": 18, "W": 13, "D": 38}
#: The ids that must have a row, whatever the code says of itself.
PROCESSES = "A3-A22 A24-A28 B17 B18 D8 D9 D12-D23 D25-D31 D38"
CONFLICTS = "C01-C06 C08 C10-C14 C16 C17 C19 C20 C29 C34"
#: How the paragraph begins that says what the page leaves out.
UNCOVERED = "Deliberately not covered:"

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)(?: \"([^\"]*)\")?\)")
SPAN = re.compile(r"(?:(\w[\w ]*?) )?`([^`]+)`")
FIGURE = re.compile(r"`([\w.]+)` = ([^<|,;]+)")
IDS = re.compile(r"\b([ABCDW])(\d{1,2})\b(?:\s?[–-]\s?\1?(\d{1,2})\b)?")


def ids(text: str) -> set[str]:
    """The handbook's ids that a text names, ranges written out: ``A3–A5`` is three."""
    return {name(letter, number) for letter, first, last in IDS.findall(text) for number in range(int(first), int(last or first) + 1)}


def name(letter: str, number: int) -> str:
    return f"C{number:02}" if letter == "C" else f"{letter}{number}"


# --- the page ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row of a table, by the names of its columns."""

    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def __str__(self) -> str:
        return self.cells["id"]


def rows(text: str) -> list[Row]:
    """Every row of every table whose first column is the id."""
    found, header = list[Row](), list[str]()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = cells
        elif header[0] == "id" and set(line) - set("|- "):
            assert len(cells) == len(header), f"{cells[0]}: {len(cells)} cells below {len(header)} columns"
            found.append(Row(dict(zip(header, cells, strict=True))))
    return found


TEXT = PAGE.read_text(encoding="utf-8")
ROWS = rows(TEXT)
PROCESS_ROWS = [row for row in ROWS if "how it starts" in row.cells]
CONFLICT_ROWS = [row for row in ROWS if "policy and default" in row.cells]
LEFT_OUT = next((part for part in TEXT.split("\n\n") if part.startswith(UNCOVERED)), "")


# --- what is there -------------------------------------------------------------------------------------------------------------------


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def named_tests(path: Path) -> set[str]:
    """The tests of a file: ``test_name``, or ``Class::test_name``."""

    def named(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                yield from named(node.body, f"{node.name}::")

    return set(named(tree(path).body))


@cache
def figures() -> dict[str, tuple[str, str]]:
    """Every figure of the policy as the page writes it, and its id."""

    def leaves(table: dict[str, Any], prefix: str) -> Iterator[tuple[str, tuple[str, str]]]:
        for key, entry in table.items():
            if set(entry) == {"value", "unit", "id"}:
                yield prefix + key, (shown(entry), entry["id"])
            else:
                yield from leaves(entry, f"{prefix}{key}.")

    def shown(entry: dict[str, Any]) -> str:
        match entry["value"]:
            case int() | float() as number:
                return f"{number:g} {entry['unit']}"
            case list() as several:
                return " and ".join(several)
            case text:
                return str(text)

    return dict(leaves(tomllib.loads((ROOT / "domain" / "policy.toml").read_text(encoding="utf-8")), ""))


@cache
def messages() -> dict[str, set[str]]:
    """What each workflow takes: ``update Trial.extend``."""
    taken = dict[str, set[str]]()
    for kind in ALL:
        definition = workflow._Definition.must_from_class(kind)
        taken[kind.__name__] = {f"update {each}" for each in definition.updates} | {f"signal {each}" for each in definition.signals if each}
    return taken


@cache
def tasks() -> set[str]:
    """The kinds of the tasks that workflows ask, of ``workflows/tasks.toml``, or given as ``kind=TaskKind.REVIEW_TA``; or the kind's own name."""
    calls = [node for path in (ROOT / "workflows").rglob("*.py") for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    values = [word.value for call in calls for word in call.keywords if word.arg == "kind"]
    named = {question.kind for question in QUESTIONS.values()}
    named |= {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    kinds = [value.attr for value in values if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name)]
    return named | {TaskKind[kind].value for kind in kinds if kind in TaskKind.__members__}


@dataclass(frozen=True)
class There:
    """What only a running part of Tenure knows: its pages and its schedules."""

    site: FastAPI
    schedules: frozenset[str]

    def has_page(self, path: str) -> bool:
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
        return any(route.matches(scope)[0] is Match.FULL for route in self.site.routes)


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[There]:
    async with site_in(tmp_path) as site:
        work = recurring(policies.default(), policies.default_accounts(), site.settings)
        yield There(site.app, frozenset(each.id for each in work))


# --- the checkers: each says what is wrong with a row ----------------------------------------------------------------------------------


def wrong_files(row: Row) -> list[str]:
    links = LINK.findall(row["file"])
    wrong = [f"{shown}: no such file" for shown, target, _ in links if not (PAGE.parent / target).is_file()]
    wrong += [f"{shown}: its link leads to {target}" for shown, target, _ in links if not f"/{target}".endswith(f"/{shown}")]
    wrong += [
        f"{target}: not of {', '.join(PARTS)}" for _, target, _ in links if not target.startswith(tuple(f"../{part}/" for part in PARTS))
    ]
    return wrong or ([] if links else ["no file"])


def wrong_tests(cell: str) -> list[str]:
    links, wrong = LINK.findall(cell), list[str]()
    for shown, target, test in links:
        path = (PAGE.parent / target).resolve()
        if not path.is_file() or (ROOT / "tests") not in path.parents:
            wrong.append(f"{target}: no such file of tests")
        elif test not in named_tests(path):
            wrong.append(f"{target}: no test {test or 'named'}")
        elif f"_{shown.replace(' ', '_')}_" not in f"_{test.rpartition('::')[2]}_":
            wrong.append(f"{test}: shown as {shown!r}, which is not in its name")
    return wrong or ([] if links else ["no test"])


def wrong_starts(cell: str, there: There) -> list[str]:
    wrong = list[str]()
    spans = SPAN.findall(cell)
    for before, span in spans:
        word = before.rpartition(" ")[2]
        if span.startswith("tenure "):
            wrong += wrong_command(span.split())
        elif span.startswith("/"):
            wrong += [] if there.has_page(span) else [f"no page {span}"]
        elif word == "schedule":
            wrong += [] if span in there.schedules else [f"no schedule {span}"]
        elif word == "task":
            wrong += [] if span in tasks() else [f"no workflow asks a task {span}"]
        elif word in ("update", "signal") and "." in span:
            kind, _, message = span.partition(".")
            either = {f"{each} {message}" for each in re.findall("update|signal", before)}
            missing = either - messages().get(kind, set())
            wrong += [f"{kind} takes no {each}" for each in sorted(missing)]
        else:
            wrong.append(f"`{span}` after {word!r} is no command, page, schedule, task, update or signal")
    return wrong or ([] if spans or "by itself: " in cell else ["nothing starts it"])


def wrong_command(words: list[str]) -> list[str]:
    """What is wrong with a command line: an unknown command or option, or too few or too many arguments."""
    line, at = " ".join(words), typer.main.get_command(app)
    given = iter(words[1:])
    while (commands := getattr(at, "commands", None)) is not None:
        if (word := next(given, "")) not in commands:
            return [f"{line}: no command {word!r}"]
        at = loaded(commands[word])
    options = {option: param for param in at.params for option in (*param.opts, *param.secondary_opts) if option.startswith("-")}
    arguments = [param for param in at.params if param.param_type_name == "argument"]
    placed = 0
    for word in given:
        if not word.startswith("-"):
            placed += 1
        elif (option := options.get(word)) is None:
            return [f"{line}: no option {word}"]
        elif not getattr(option, "is_flag", False) and next(given, None) is None:
            return [f"{line}: {word} without its value"]
    least = sum(param.required for param in arguments)
    return [] if least <= placed <= len(arguments) else [f"{line}: {placed} arguments, not {least} to {len(arguments)}"]


def wrong_figures(row: Row) -> list[str]:
    cell = row["policy and default"]
    named = {key: value.strip() for key, value in FIGURE.findall(cell)}
    wrong = [f"{key}: no such figure" for key in named if key not in figures()]
    wrong += [
        f"{key} is {figures()[key][0]}, not {value}" for key, value in named.items() if key in figures() and figures()[key][0] != value
    ]
    wrong += [f"{key} is not named" for key, (_, of) in figures().items() if of == row["id"] and key not in named]
    return wrong or ([] if named or cell.startswith("no key: ") else ["no figure"])


def wrong_numbers(row: Row) -> list[str]:
    """Numbers in the words about a process that are no figure's value (any more)."""
    values = {number for shown, _ in figures().values() for number in re.findall(r"\b\d+\b", shown)}
    said = SPAN.sub("", f"{row['what happens']} {row['how it starts']}")
    return [f"{number} is the value of no figure" for number in re.findall(r"\b\d+\b", said) if number not in values]


def wrong_order(given: list[Row]) -> list[str]:
    """Ids that come twice or out of their order."""
    keys = [(str(row)[0], int(str(row)[1:])) for row in given]
    return [f"{after} after {before}" for before, after in pairwise(keys) if before >= after]


def docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring of ``domain/`` and ``workflows/``, with where it stands."""
    for path in sorted(path for part in ("domain", "workflows") for path in (ROOT / part).rglob("*.py")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (said := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)} {getattr(node, 'name', '')}", said


# --- the page is true --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", PROCESS_ROWS, ids=str)
def test_a_process_lives_where_the_page_says(row: Row) -> None:
    assert not wrong_files(row)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_test_that_shows_it_is_there(row: Row) -> None:
    assert not wrong_tests(row["test"])


async def test_it_starts_as_the_page_says(there: There) -> None:
    assert {str(row): wrong for row in PROCESS_ROWS if (wrong := wrong_starts(row["how it starts"], there))} == {}


@pytest.mark.parametrize("row", CONFLICT_ROWS, ids=str)
def test_the_policy_is_as_the_page_says(row: Row) -> None:
    assert not wrong_figures(row)


@pytest.mark.parametrize("row", PROCESS_ROWS, ids=str)
def test_what_the_page_counts_is_as_the_policy_has_it(row: Row) -> None:
    assert not wrong_numbers(row)


def test_every_id_is_there_once_and_in_its_place() -> None:
    assert not wrong_order(PROCESS_ROWS)
    assert not wrong_order(CONFLICT_ROWS)
    assert all(ids(str(row)) == {str(row)} for row in ROWS)


def test_every_id_of_the_handbook_has_its_row_or_is_left_out() -> None:
    """Whoever builds one of those left out must say so here, too."""
    covered, left_out = {str(row) for row in PROCESS_ROWS}, ids(LEFT_OUT)
    everything = {name(letter, number) for letter, last in LAST.items() for number in range(1, last + 1)}
    assert covered & left_out == set()
    assert covered | left_out == everything
    assert ids(PROCESSES) - covered == set()
    assert ids(CONFLICTS) - {str(row) for row in CONFLICT_ROWS} == set()


def test_every_id_that_the_code_names_is_on_the_page() -> None:
    known = {str(row) for row in ROWS} | ids(LEFT_OUT)
    missing = [(where, sorted(new)) for where, said in docstrings() if (new := ids(said) - known)]
    missing += [(key, [of]) for key, (_, of) in figures().items() if of != "I" and of not in known]
    assert not missing


def test_every_link_of_the_page_leads_somewhere() -> None:
    assert not [
        target for _, target, _ in LINK.findall(TEXT) if "://" not in target and not (PAGE.parent / target.partition("#")[0]).exists()
    ]


# --- the checkers find what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("[domain/gone.py](../domain/gone.py)", "no such file"),
        ("[domain/account/red.py](../domain/policy.py)", "its link leads to"),
        ("[tests/conftest.py](../tests/conftest.py)", "not of"),
        ("domain/account/red.py", "no file"),
    ],
)
def test_a_wrong_file_would_be_found(cell: str, says: str) -> None:
    assert any(says in wrong for wrong in wrong_files(Row({"id": "A3", "file": cell})))


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ('[gone](../tests/test_gone.py "test_gone")', "no such file of tests"),
        ('[a docstring](../domain/account/red.py "test_a_docstring")', "no such file of tests"),
        ('[it never was](../tests/test_house.py "test_it_never_was")', "no test test_it_never_was"),
        ("[nothing is left unfinished](../tests/test_house.py)", "no test named"),
        ('[nothing is finished](../tests/test_house.py "test_nothing_is_left_unfinished")', "which is not in its name"),
        ('[signup](../tests/starter/service/test_tenure.py "TestSignup")', "no test TestSignup"),
        ("`tests/test_house.py`", "no test"),
    ],
)
def test_a_wrong_test_would_be_found(cell: str, says: str) -> None:
    assert any(says in wrong for wrong in wrong_tests(cell))


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("`tenure trail list`", "no command 'trail'"),
        ("`tenure trial`", "no command ''"),
        ("`tenure trial extend DOMAIN --weeks 2`", "no option --weeks"),
        ("`tenure trial extend DOMAIN --days`", "--days without its value"),
        ("`tenure trial extend`", "0 arguments, not 1 to 1"),
        ("`tenure trial extend DOMAIN 15`", "2 arguments, not 1 to 1"),
        ("the page `/sign-up`", "no page /sign-up"),
        ("schedule `nightly`", "no schedule nightly"),
        ("task `coffee`", "no workflow asks a task coffee"),
        ("update `Trial.prolong`", "Trial takes no update prolong"),
        ("update or signal `Trial.signup`", "Trial takes no signal signup"),
        ("signal `Trail.extend`", "Trail takes no signal extend"),
        ("the button `Go`", "is no command"),
        ("somehow", "nothing starts it"),
    ],
)
async def test_a_wrong_start_would_be_found(cell: str, says: str, there: There) -> None:
    assert any(says in wrong for wrong in wrong_starts(cell, there))


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("`trial.d15.mode` = ask", "trial.d15.mode is automatic, not ask"),
        ("`trial.d15.modus` = automatic", "trial.d15.modus: no such figure"),
        ("`trial.slack_mode` = channel", "trial.d15.mode is not named"),
        ("`lighthouse.ratings` = red", "lighthouse.ratings is red and yellow, not red"),
        ("`pool.floor` = 2 hours", "pool.floor is 2 instances, not 2 hours"),
    ],
)
def test_a_wrong_figure_would_be_found(cell: str, says: str) -> None:
    assert any(says in wrong for wrong in wrong_figures(Row({"id": "C02", "policy and default": cell})))


def test_a_wrong_number_would_be_found() -> None:
    row = Row({"id": "A13", "what happens": "Day 15, or 77: B17 `99`", "how it starts": "by itself: after 4711 days"})
    assert wrong_numbers(row) == ["77 is the value of no figure", "4711 is the value of no figure"]


def test_a_right_row_is_not_complained_of() -> None:
    assert wrong_figures(Row({"id": "C02", "policy and default": "`trial.d15.mode` = automatic"})) == []
    assert wrong_files(Row({"id": "A3", "file": "[domain/account/red.py](../domain/account/red.py)"})) == []
    assert wrong_tests('[is left](../tests/test_house.py "test_nothing_is_left_unfinished")') == []
    assert wrong_tests('[a bad address](../tests/starter/service/test_tenure.py "TestSignup::test_a_bad_address_starts_nothing")') == []


def test_tables_and_ids_are_read_as_they_are_written() -> None:
    table = "| id | test |\n|---|---|\n| A3 | one |\n| A4 | two |\n\n| who | id |\n|---|---|\n| us | A5 |\n"
    assert [(str(row), row["test"]) for row in rows(table)] == [("A3", "one"), ("A4", "two")]
    assert ids("A9–A11, D15-17, C2 and W13, but not AB12, A123 or E1") == {"A9", "A10", "A11", "D15", "D16", "D17", "C02", "W13"}
    assert wrong_order([Row({"id": "A4"}), Row({"id": "A4"}), Row({"id": "A3"}), Row({"id": "B1"})]) != []
    with pytest.raises(AssertionError, match="1 cells below 2 columns"):
        rows("| id | test |\n|---|---|\n| A3 |\n")
