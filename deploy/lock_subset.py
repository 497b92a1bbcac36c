"""``python lock_subset.py``: the part of ``requirements.lock`` that production needs, pins and hashes as they are, on standard output.

These are the dependencies of ``pyproject.toml`` without its extras ``dev`` and ``local``, and what they need. ``--with NAME`` adds a package
and what it needs; ``--only NAME`` takes nothing else. Needs no package itself.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

PROJECT = "tenure (pyproject.toml)"


def plain(name: str) -> str:
    """A package's name as indexes compare it, without its extras."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", name.strip(), maxsplit=1)[0]).lower()


def entries(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package of the lock: its lines, of every version that a marker chooses from, and which others need it (``# via``)."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for text in re.split(r"(?m)^(?=[A-Za-z0-9])", lock):
        if re.match(r"[A-Za-z0-9]", text):
            via = re.search(r"^ {4}# via(.*(?:\n {4}#   .*)*)", text, re.MULTILINE)
            parents = re.findall(r"(?:\A |#   )(.+)$", via[1], re.MULTILINE) if via else []
            lines, others = found.get(plain(text), ("", frozenset()))
            found[plain(text)] = (lines + text, others | {parent.strip() for parent in parents})
    return found


def subset(lock: str, roots: Iterable[str]) -> str:
    """The lock's lines for these packages and everything that they need. KeyError for a package that is not locked."""
    known, wanted, reached = entries(lock), {plain(name) for name in roots}, set[str]()
    while wanted:
        reached |= wanted
        wanted = {name for name, (_, parents) in known.items() if {plain(each) for each in parents if each != PROJECT} & wanted} - reached
    return "".join(known[name][0] for name in sorted(reached))


def main(arguments: list[str]) -> None:
    """Print the part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--with", dest="more", action="append", default=[], metavar="NAME")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    given = parser.parse_args(arguments)
    here = Path.cwd()
    project = tomllib.loads((here / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    roots = given.only or [*project["dependencies"], *given.more]
    sys.stdout.write(subset((here / "requirements.lock").read_text(encoding="utf-8"), roots))


if __name__ == "__main__":
    main(sys.argv[1:])
