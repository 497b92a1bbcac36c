"""``docs/effects.md``, written from the register of effects: ``python -m activities.effects.table``."""

import inspect
from pathlib import Path

from activities.effects.outside_system import effect_kinds, systems
from domain.wording import beside

PAGE = Path(__file__).parents[2] / "docs" / "effects.md"
HEAD = beside(__file__)["head"]


def page() -> str:
    """The whole page: the head, and a table for each system."""
    parts, register, known = [HEAD], effect_kinds().values(), systems()
    for system in dict.fromkeys(kind.system for kind in register):
        title = known[system].title if system in known else "Our own tables"
        parts += [f"\n## {title}\n", "| effect | asked for by | probe | means | window | verified |", "|---|---|---|---|---|---|"]
        for kind in (kind for kind in register if kind.system == system):
            asked = f"`{kind.asked_by.__name__}`" if kind.asked_by is not None else "the activity itself"
            code = inspect.unwrap(kind.code)  # where it stands, for a reader of the source
            probe = f"{kind.probe} (`{code.__module__.replace('.', '/')}.py`: `{code.__name__}`)"
            parts.append(f"| `{kind.act}` | {asked} | {probe} | {kind.means} | {kind.window} | {kind.told} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
