"""The table of rights as Markdown: ``docs/rights.md``."""

from domain.people import Role
from domain.rights import GROUP_OF, KINDS, OVER, Group, role_in_words, rows


def page() -> str:
    """The whole page."""
    head = ["action", *(KINDS[group] for group in Group)]
    cells = [[row.words, *(row.reach[group].value if group in row.reach else "–" for group in Group)] for _, row in rows()]
    over = [[role_in_words(role), "; ".join(role_in_words(other) for other in OVER[role]) or "–"] for role in Role]
    roles = [[KINDS[group], ", ".join(role_in_words(role) for role in Role if GROUP_OF[role] is group)] for group in Group]
    return (
        "\n\n".join(
            (
                "# Who may do what",
                "Written by `tenure rights` from `domain/rights.py` and the commands of each process; a test keeps the two equal. Every way in reads this table when a message arrives, "
                "with the role that the person has then.",
                "*own*: what one looks after oneself. *team*: what a colleague with the same manager looks after, what those look after who report to "
                "one, and what nobody of one's kind looks after yet. *any*: all. A dash: not at all.",
                _markdown(head, cells),
                "## Answering a task",
                "A task may be answered by whoever it is given to, by whom its ladder asks (the backup, the manager), by colleagues of the same role "
                "and manager, by whoever the person it is given to reports to, and by these roles:",
                _markdown(["asked of", "and may be answered by"], over),
                "## Which role is which column",
                _markdown(["column", "roles of the CRM"], roles),
                "A token without a person has a column of its own choice and, since it looks after nothing, only the rights that say *any*. A token of "
                "ops may name the person for whom it acts (`by`): then that person's rights count, and the audit names both.",
            )
        )
        + "\n"
    )


def _markdown(head: list[str], body: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))
