"""Words that the web says and that no page of its own holds, from ``texts.toml``: sections of names, each with what is said of it."""

from typing import Any

from domain.wording import beside

_TEXTS: dict[str, dict[str, Any]] = beside(__file__)
PAGES, REASONS, REFUSALS, TITLES, READS, PARAMETERS, PROBLEMS = (
    _TEXTS[section] for section in ("pages", "reasons", "refusals", "titles", "reads", "parameters", "problems")
)


def fault(name: str, **values: object) -> dict[str, Any]:
    """What an error of that name says, filled in: ``raise NotSignedIn(**fault("token"))``."""
    return {part: text.format(**values) for part, text in _TEXTS["faults"][name].items()}
