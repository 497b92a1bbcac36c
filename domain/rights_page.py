"""The table of rights as Markdown: ``docs/rights.md``."""

from domain.people import Role
from domain.rights import GROUP_OF, KINDS, OVER, Group, role_in_words, rows
from domain.wording import Wording

TEXTS = Wording(__file__)


def page() -> str:
    """The whole page."""
    head = ["action", *(KINDS[group] for group in Group)]
    cells = [[row.words, *(row.reach[group].value if group in row.reach else "–" for group in Group)] for _, row in rows()]
    over = [[role_in_words(role), "; ".join(role_in_words(other) for other in OVER[role]) or "–"] for role in Role]
    roles = [[KINDS[group], ", ".join(role_in_words(role) for role in Role if GROUP_OF[role] is group)] for group in Group]
    return TEXTS(
        "page",
        actions=_markdown(head, cells),
        over=_markdown(["asked of", "and may be answered by"], over),
        roles=_markdown(["column", "roles of the CRM"], roles),
    )


def _markdown(head: list[str], body: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))
