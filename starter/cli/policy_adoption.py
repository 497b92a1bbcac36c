"""``tenure policy adopt``: open trials go on by another policy, after a table of what would change for which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.cli.base import By, Json, ask, console, emit

if TYPE_CHECKING:
    from domain.trial.adoption import Difference, Move
    from starter.service.policy_adoption import Adoption
    from starter.service.tenure import Tenure

#: Trials that the page names; `--json` names all.
SHOWN = 50


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
    from domain import policy as figures
    from domain.rights import Action
    from domain.trial.adoption import differences
    from starter.errors import BadInput
    from starter.service.bootstrap import read_policies, read_settings

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
        from starter.service.policy_adoption import adoptions

        async def each() -> list[Adoption]:
            found = [answer async for answer in adoptions(tenure, policy, where, by=by.strip(), why=why.strip(), do=apply)]
            return sorted(found, key=lambda each: each.domain)

        if not apply:
            return await each()
        what = f"adopt policy {policy.hash}"
        async with tenure.gate.operating(tenure.caller, Action.ADOPT_POLICY, by=by, what=what):
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
    from collections import Counter

    from rich.text import Text

    from starter.cli.parts import columns, value

    page = console()
    if changed:
        page.print(Text("Figures that differ from those in force", style="bold"))
        page.print(columns([{"figure": each.path, "in force": value(each.was), "would be": value(each.will)} for each in changed]))
        page.print()
    rows = []
    for each in found[:SHOWN]:
        moves = each.preview.moves if each.preview and each.outcome in ("would adopt", "adopted") else ()
        said = each.says if each.outcome in ("refused", "mute") else "\n".join(_moved(move) for move in moves) or "nothing that is ahead"
        rows.append({"trial": each.domain, "stage": each.stage, "": each.outcome, "what changes": said if each.outcome != "has it" else ""})
    page.print(columns(rows, whole=("trial", "stage", "")))
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
