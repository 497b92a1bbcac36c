"""``docs/effects.md``, written from the register of effects: ``python -m activities.effects.table``."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from activities.effects.outside_system import effect_kinds, systems

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "effects.md"

_HEAD = """\
# Every effect, and how it happens once

Written from what is declared beside the code (`store/effect_kinds.py`) by `python -m activities.effects.table`; a test holds it against the code.

An effect is recorded as begun, done, and recorded as done with its receipt. An attempt that finds it begun asks the remote side first: that is
the *probe*. It asks by listing, as far back as the first attempt and page by page, never by a search whose index lags. What makes a repetition
no second effect are the *means*. The *window* is what is left where the remote side gives no way to know. *Verified* is what
`tenure effects verify` compares, both ways: what is on record must be there, and what carries our mark must be on record.
"""


def page() -> str:
    """The whole page."""
    parts, register, known = [_HEAD], effect_kinds().values(), systems()
    for system in dict.fromkeys(kind.system for kind in register):
        parts += [
            "",
            f"## {known[system].title if system in known else 'Our own tables'}",
            "",
            "| effect | asked for by | probe | means | window | verified |",
            "|---|---|---|---|---|---|",
        ]
        for kind in (kind for kind in register if kind.system == system):
            asked = f"`{kind.asked_by.__name__}`" if kind.asked_by is not None else "the activity itself"
            probe = f"{kind.probe} ({_where(kind.code)})"
            parts.append(f"| `{kind.act}` | {asked} | {probe} | {kind.means} | {kind.window} | {kind.told} |")
    return "\n".join(parts) + "\n"


def _where(code: Callable[..., Any]) -> str:
    """Where the function stands, for a reader of the source."""
    return f"`{inspect.unwrap(code).__module__.replace('.', '/')}.py`: `{code.__name__}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
