"""Our pages are true: every path, link, command, target and setting that they name is there, and the lists that must be whole are whole."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import typer.main

from starter.cli.app import app, hoist
from store.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
#: What a newcomer reads in one go.
LONGEST_README = 150

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?: \"[^\"]*\")?\)|<img src=\"([^\"]+)\"")
PATH = re.compile(r"[\w.{},*-]+(?:/[\w.{},*-]*)*")
ENDINGS = ("/", ".py", ".md", ".toml", ".yml", ".yaml", ".lock", ".graphql", ".html", ".css", ".j2")
#: Named like files of ours, and made by a run, by the reader or by a build.
NOT_KEPT = re.compile(r"DATA/|\.tenure/|kept-signups/|build/|mine\.toml|new\.toml")
#: Read from the environment by the build, the compose file and the command line; no setting of a process.
NO_SETTINGS = {"TENURE_COMMIT", "TENURE_PYTHON_IMAGE", "TENURE_INSTANCES", "TENURE_BY"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def spans(text: str) -> list[str]:
    """What stands between backticks outside of blocks."""
    return SPAN.findall(FENCE.sub("", text))


# --- paths and links -------------------------------------------------------------------------------------------------------------------


@cache
def file_names() -> set[str]:
    return {path.name for part in ROOT.iterdir() if not part.name.startswith(".") for path in [part, *part.rglob("*")]}


def expanded(path: str) -> list[str]:
    """``starter/{web,cli}`` is two paths."""
    parts = re.split(r"\{([^}]*)\}", path)
    return ["".join(chosen) for chosen in product(*(part.split(",") if at % 2 else [part] for at, part in enumerate(parts)))]


def is_there(path: str) -> bool:
    """From the repository's root; a name without a folder stands for a file of that name anywhere, as ``policy.toml`` does."""
    return path in file_names() if "/" not in path else any(ROOT.glob(path.strip("/")))


def missing_paths(text: str) -> list[str]:
    tops = {path.name for path in ROOT.iterdir()}
    found = list[str]()
    for span in spans(text):
        first = span.split("::")[0].split(": ")[0]
        is_path = PATH.fullmatch(first) and (first.endswith(ENDINGS) or ("/" in first and first.split("/")[0] in tops))
        if is_path and not NOT_KEPT.match(first):
            found += [path for path in expanded(first) if not is_there(path)]
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path, text: str) -> list[str]:
    broken = list[str]()
    for target in (link or image for link, image in LINK.findall(FENCE.sub("", text))):
        path, _, anchor = target.partition("#")
        if re.match(r"https?://|mailto:", target):
            continue
        leads_to = (page.parent / path).resolve() if path else page
        if not leads_to.exists() or (anchor and anchor not in anchors(leads_to.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    assert not missing_paths(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert not broken_links(page, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`domain/gone.py`", ["domain/gone.py"]),
        ("`gone/`", ["gone/"]),
        ("`domain/gone`", ["domain/gone"]),
        ("`tests/test_gone.py::test_it`", ["tests/test_gone.py"]),
        ("`tests/{test_docs,test_gone}.py`", ["tests/test_gone.py"]),
        ("`gone.toml`", ["gone.toml"]),
        ("`tests/test_docs.py: is_there`, `tests/test_*.py`, `policy.toml`, `domain/`", []),
        ("`DAU/MAU`, `/console`, `DATA/secret.key`, `message.posted`\n```sh\ncat `domain/gone.py`\n```", []),
    ],
)
def test_a_missing_path_would_be_found(text: str, missing: list[str]) -> None:
    assert missing_paths(text) == missing


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](gone.md)", ["gone.md"]),
        ("[a](CONTRIBUTING.md#no-such-part)", ["CONTRIBUTING.md#no-such-part"]),
        ('<img src="docs/pictures/gone.png" alt="">', ["docs/pictures/gone.png"]),
        ("[a](CONTRIBUTING.md#checks), [b](docs/), [c](https://temporal.io)", []),
    ],
)
def test_a_broken_link_would_be_found(text: str, broken: list[str]) -> None:
    assert broken_links(ROOT / "README.md", text) == broken


# --- commands, targets, settings --------------------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[list[str]]:
    """Every whole command line of ``tenure``: of a block for the shell, behind a prompt, or between backticks. One with a gap (``…``) is none."""
    blocks = [(kind, body.replace("\\\n", " ")) for _, kind, body in FENCE.findall(text)]
    lines = [line for kind, body in blocks if kind == "sh" for line in re.findall(r"(?:^|[( ])(tenure [^|>)\n]+)", body, re.MULTILINE)]
    lines += [line for _, body in blocks for line in re.findall(r"^\$ (tenure [^|>\n]+)", body, re.MULTILINE)]
    lines += [span for span in spans(text) if span.startswith("tenure ")]
    yield from (shlex.split(line, comments=True)[1:] for line in lines if "…" not in line)


@cache
def program() -> Any:
    return typer.main.get_command(app)


def wrong_command(arguments: list[str]) -> str:
    """What the command line says to these arguments before it does anything; empty when it takes them."""
    at, context, rest = program(), None, hoist(["1" if word == "N" else word for word in arguments])
    try:
        while rest and hasattr(at, "resolve_command"):
            context = at.make_context(at.name, rest, parent=context)
            _, at, rest = at.resolve_command(context, [*context._protected_args, *context.args])
        if rest:  # a bare name tells of a command, or of a group of them, and is no command line
            at.make_context(at.name, rest, parent=context)
    except Exception as error:
        return f"tenure {shlex.join(arguments)}: {error}"
    return ""


def targets(text: str) -> set[str]:
    lines = [line for _, kind, body in FENCE.findall(text) for line in body.splitlines() if kind in ("", "sh")]
    found = [re.match(r"(?:\$ )?make ([a-z]+)", line.strip()) for line in [*lines, *spans(text)]]
    return {match[1] for match in found if match}


def settings(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", text))


KNOWN_SETTINGS = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_command_line_takes_every_command_of_a_page(page: Path) -> None:
    assert not [wrong for line in commands(page.read_text(encoding="utf-8")) if (wrong := wrong_command(line))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_target_and_setting_of_a_page_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert targets(text) - set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)) == set()
    assert settings(text) - KNOWN_SETTINGS - NO_SETTINGS == set()


def test_operators_read_of_every_setting() -> None:
    assert KNOWN_SETTINGS - settings((ROOT / "docs" / "operate.md").read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("`tenure trail list`", "No such command 'trail'"),
        ("`tenure trial extend DOMAIN --weeks 2`", "No such option: --weeks"),
        ("```sh\ntenure policy check a.toml b.toml\n```", "unexpected extra argument"),
        ("```sh\nX=$(tenure trial list --limit many | head)\n```", "valid integer"),
        ("```text\n$ tenure effects kestrel.example --system\n```", "requires an argument"),
    ],
)
def test_a_wrong_command_would_be_found(text: str, says: str) -> None:
    assert [wrong for line in commands(text) if says in (wrong := wrong_command(line))]


def test_what_a_page_names_is_read() -> None:
    text = "`make test`, `tenure trial`, `tenure token revoke NAME`, `--by YOU@…`, `TENURE_GONE`\n```sh\nmake gone ARGS=1\n```\n"
    assert targets(text) == {"test", "gone"}
    assert settings(text) == {"TENURE_GONE"}
    assert [wrong_command(line) for line in commands(text)] == ["", ""]


# --- lists that are whole ----------------------------------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README


def test_the_first_tour_of_the_readme_is_the_beginning_of_the_tour() -> None:
    """So whoever walks the one has walked the other."""
    whole, tour = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    first = whole[whole.index("## A first tour") : whole.index("## The real systems")]
    blocks = [[body for _, kind, body in FENCE.findall(text) if kind == "sh"] for text in (first, tour)]
    assert len(blocks[0]) > 3
    assert blocks[1][: len(blocks[0])] == blocks[0]


def test_the_index_has_every_decision_under_its_title() -> None:
    files = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+?) \| \S.* \|$", (DECISIONS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(path.name[:4], path.name, path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")) for path in files]
    assert [int(number) for number, _, _ in rows] == list(range(1, len(files) + 1))
