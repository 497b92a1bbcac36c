"""The commands about the policy: its figures, whether a file is right, and its adoption by open trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from domain import policy as figures
from domain.trial.adoption import Difference, Move, differences
from domain.trial.commands import ADOPT_POLICY
from starter.cli import parts
from starter.cli.base import By, Json, ask, console, emit
from starter.errors import BadInput, NotFound
from starter.service.bootstrap import read_policies, read_settings
from starter.service.policy_adoption import Adoption, adoptions
from starter.service.tenure import Tenure

#: Trials that the page names; `--json` names all.
SHOWN = 50


policy = typer.Typer(help="Look at the policy's figures, check a policy file, move open trials to another.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(policy, name="policy", rich_help_panel="Set-up")


@policy.command("show")
def policy_show(
    section: Annotated[
        str, typer.Argument(metavar="[SECTION]", help="Only what begins so: trial, license.generic.", show_default=False)
    ] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Another policy file.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show every figure with its unit and its handbook id."""
    path = _policy_file(file)
    try:
        loaded, accounts, entries = figures.load(path), figures.load_accounts(path), figures.entries(path)
    except (figures.PolicyError, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no policy:\n{error}", f"Correct it; `tenure policy check {path}` tells when it is right") from None
    shown = [entry for entry in entries if entry.path == section or entry.path.startswith(f"{section}." if section else "")]
    if not shown:
        raise NotFound(
            f"the policy has no section {section[:40]!r}",
            f"Choose one of: {', '.join(sorted({entry.path.split('.')[0] for entry in entries}))}",
        )
    answer = {"file": str(path), "hash": loaded.hash, "accounts_hash": accounts.hash, "figures": shown}
    emit(answer, as_json, lambda: _figures(shown, f"trials {loaded.hash}, accounts {accounts.hash}", str(path)))


@policy.command("check")
def policy_check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The file; the one in force when not given.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a policy file; names every wrong entry with its line, and exits with 1."""
    path = _policy_file(file)
    try:
        loaded, accounts = figures.load(path), figures.load_accounts(path)
    except (figures.PolicyError, OSError, UnicodeDecodeError) as error:
        unread = f"{path}: cannot be read as text: {getattr(error, 'strerror', None) or error}"
        faults = str(error).splitlines() if isinstance(error, figures.PolicyError) else [unread]
        emit({"ok": False, "file": str(path), "errors": faults}, as_json, lambda: console().print("\n".join(faults), markup=False))
        raise typer.Exit(1) from None
    emit(
        {"ok": True, "file": str(path), "hash": loaded.hash, "accounts_hash": accounts.hash},
        as_json,
        lambda: console().print(f"{path} is right: policy of trials {loaded.hash}, of accounts {accounts.hash}", markup=False),
    )


@policy.command("adopt")
def adopt(
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The other policy's file.", show_default=False)],
    apply: Annotated[bool, typer.Option("--apply/--dry-run", help="Have it adopted; else only say what would change for which.")] = False,
    where: Annotated[
        str,
        typer.Option(
            "--where", metavar="FILTER", help="Only trials that match, in Temporal's words: \"Stage = 'onboarding'\".", show_default=False
        ),
    ] = "",
    by: By = "",
    why: Annotated[str, typer.Option("--why", help="One sentence for the dossier of each trial.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Move open trials to another policy. Each checks it for itself; a second run finds them moved already."""
    try:
        policy = figures.load(new)
    except (figures.PolicyError, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{new} is no policy:\n{error}", f"Correct it; `tenure policy check {new}` tells when it is right") from None
    if apply and not by.strip():
        raise BadInput("nobody says who decides", "Add --by and your e-mail address", field="by")
    settings = read_settings()
    in_force = read_policies(settings)[0]
    changed = differences(in_force, policy)

    async def asked(tenure: Tenure) -> list[Adoption]:
        async def each() -> list[Adoption]:
            found = [answer async for answer in adoptions(tenure, policy, where, by=by.strip(), why=why.strip(), do=apply)]
            return sorted(found, key=lambda each: each.domain)

        if not apply:
            return await each()
        what = f"adopt policy {policy.hash}"
        async with tenure.authorization.operating(tenure.caller, ADOPT_POLICY.name, by=by, what=what):
            return await each()

    found = ask(asked)
    answer = {"policy": policy.hash, "in_force": in_force.hash, "applied": apply, "figures": changed, "trials": found}
    new_ones = (
        ""
        if policy.hash == in_force.hash
        else f"New trials still start by {in_force.hash}: set TENURE_POLICY_FILE={new} for worker and web."
    )
    emit(answer, as_json, lambda: _page(changed, found, policy.hash, apply, new_ones))
    if any(each.outcome == "mute" or (apply and each.outcome == "refused") for each in found):
        raise typer.Exit(1)


def _page(changed: list[Difference], found: list[Adoption], hash_: str, applied: bool, new_ones: str) -> None:
    page = console()
    if changed:
        page.print(Text("Figures that differ from those in force", style="bold"))
        page.print(
            parts.columns(
                [{"figure": each.path, "in force": parts.value(each.was), "would be": parts.value(each.will)} for each in changed]
            )
        )
        page.print()
    rows = []
    for each in found[:SHOWN]:
        moves = each.preview.moves if each.preview and each.outcome in ("would adopt", "adopted") else ()
        said = each.says if each.outcome in ("refused", "mute") else "\n".join(_moved(move) for move in moves) or "nothing that is ahead"
        rows.append({"trial": each.domain, "stage": each.stage, "": each.outcome, "what changes": said if each.outcome != "has it" else ""})
    page.print(parts.columns(rows, whole=("trial", "stage", "")))
    if len(found) > SHOWN:
        page.print(Text(f"… and {len(found) - SHOWN} more; --json names all", style="dim"))
    counts = Counter(each.outcome for each in found)
    page.print()
    page.print(Text(f"Policy {hash_}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())), style="bold"))
    if not applied and counts["would adopt"]:
        page.print(Text("→ nothing was changed; the same with --apply and --by YOU@… has it adopted", style="dim"))
    if new_ones:
        page.print(Text(f"→ {new_ones}", style="dim"), soft_wrap=True)


def _moved(move: Move) -> str:
    at = " → ".join(dict.fromkeys(f"{each:%d %b %H:%M}" for each in (move.was, move.will) if each))
    return f"{at}: {move.what}" + ("" if move.change == "means" else f" ({move.change})")


def _figures(found: Sequence[figures.Entry], hash_: str, name: str) -> None:
    """The figures, each with its unit and its handbook id."""
    table = parts.table("figure", "value", "unit", "id")
    for entry in found:
        value = ", ".join(str(part) for part in entry.value) if isinstance(entry.value, list) else str(entry.value)
        table.add_row(entry.path, Text(value or "none", overflow="fold"), Text(entry.unit, style="dim"), Text(entry.id, style="dim"))
    page = console()
    page.print(table)
    page.print(Text(f"{name}  {hash_}", style="dim"))


def _policy_file(file: Path | None) -> Path:
    return file or read_settings().policy_file or figures.DEFAULT
