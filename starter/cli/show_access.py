"""How the audit and the tokens are shown to people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from starter.cli.base import console
from store.audit import AuditRow, Verdict
from store.service_tokens import ServiceToken

_COLOURS = {"accepted": "green", "refused": "red", "unknown": "yellow"}


def audit(rows: Sequence[AuditRow]) -> None:
    """The rows, a line each, and below it why it was refused."""
    page = console()
    if not rows:
        page.print("Nothing is on the audit.")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("#", "at", "who", "role", "via", "what", "outcome"):
        table.add_column(name, overflow="fold")
    for row in rows:
        who = f"{row.who}\n{row.through}" if row.through else row.who
        what = f"{row.what}\n{row.subject}" if row.subject else row.what
        outcome = Text(row.outcome, style=_COLOURS[row.outcome])
        if row.reason:
            outcome.append(f"\n{row.reason}", style="dim")
        cells = (str(row.number), f"{row.at:%Y-%m-%d %H:%M:%S}", who, row.role, row.via, what)
        table.add_row(*(Text(cell) for cell in cells), outcome)
    page.print(table)


def verdict(found: Verdict) -> None:
    """What the walk along the chain found, and the head to keep elsewhere."""
    page = console()
    if found.ok:
        page.print(Text.assemble(("The audit stands", "bold green"), f": {found.count:,} rows, each as it was written."))
    elif not found.count:
        page.print(Text.assemble(("There is no audit", "bold red"), f": {found.fault}."))
    else:
        page.print(Text.assemble(("The audit was touched", "bold red"), f": {found.fault}."))
    page.print(Text(f"head {found.count}:{found.head}", style="dim"), soft_wrap=True)


def tokens(found: Sequence[ServiceToken]) -> None:
    """The tokens."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("name", "rights", "made", "last used", "state"):
        table.add_column(name)
    for each in found:
        state = Text(f"revoked {each.revoked_at:%Y-%m-%d}", style="red") if each.revoked_at else Text("works", style="green")
        used = f"{each.used_at:%Y-%m-%d %H:%M}" if each.used_at else "never"
        rights = f"as {each.role}" if each.role else each.person
        table.add_row(Text(each.name), Text(rights), Text(f"{each.created_at:%Y-%m-%d %H:%M}"), used, state)
    console().print(table if found else "There are no tokens.")
