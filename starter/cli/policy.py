"""The commands about the policy: its figures, whether a file is right, and its adoption by open trials."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from domain import policy as figures
from domain.policy import AccountPolicy, Entry, Policy
from domain.trial.adoption import Difference, Move, differences
from domain.trial.commands import ADOPT_POLICY
from starter.cli.base import By, Json, argument, ask, emit, option, say, whole
from starter.cli.parts import dim, value
from starter.cli.texts import listed
from starter.errors import BadInput, NotFound
from starter.service.bootstrap import read_policies, read_settings
from starter.service.policy_adoption import Adoption, adoptions
from starter.service.tenure import Tenure

#: Trials that the page names; `--json` names all.
SHOWN = 50
UNREADABLE = (figures.PolicyError, OSError, UnicodeDecodeError)

policy = typer.Typer(help="Look at the policy's figures, check a policy file, move open trials to another.")


@policy.command("show")
def policy_show(
    section: Annotated[str, argument("[SECTION]", "Only what begins so: trial, license.generic.")] = "",
    file: Annotated[Path | None, option("--file", "Another policy file.")] = None,
    as_json: Json = False,
) -> None:
    """Show every figure with its unit and its handbook id."""
    path = _policy_file(file)
    trials, accounts, entries = _read(path)
    shown = [entry for entry in entries if entry.path == section or entry.path.startswith(f"{section}." if section else "")]
    if not shown:
        known = sorted({entry.path.split(".")[0] for entry in entries})
        raise NotFound(f"the policy has no section {section[:40]!r}", f"Choose one of: {', '.join(known)}")
    answer = {"file": str(path), "hash": trials.hash, "accounts_hash": accounts.hash, "figures": shown}

    def page(_: object) -> Iterator[Any]:
        yield listed("figures", shown, figure=lambda value: ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        yield dim(f"{path}  trials {trials.hash}, accounts {accounts.hash}")

    emit(answer, as_json, page)


@policy.command("check")
def policy_check(
    file: Annotated[Path | None, argument("[FILE]", "The file; the one in force when not given.")] = None, as_json: Json = False
) -> None:
    """Check a policy file; names every wrong entry with its line, and exits with 1."""
    path = _policy_file(file)
    try:
        trials, accounts = figures.load(path), figures.load_accounts(path)
    except UNREADABLE as error:
        unread = f"{path}: cannot be read as text: {getattr(error, 'strerror', None) or error}"
        faults = str(error).splitlines() if isinstance(error, figures.PolicyError) else [unread]
        say("\n".join(faults), as_json, {"ok": False, "file": str(path), "errors": faults})
        raise typer.Exit(1) from None
    answer = {"ok": True, "file": str(path), "hash": trials.hash, "accounts_hash": accounts.hash}
    say(f"{path} is right: policy of trials {trials.hash}, of accounts {accounts.hash}", as_json, answer)


@policy.command("adopt")
def adopt(
    new: Annotated[Path, argument("NEW", "The other policy's file.")],
    apply: Annotated[bool, typer.Option("--apply/--dry-run", help="Have it adopted; else only say what would change for which.")] = False,
    where: Annotated[str, option("--where", "Only trials that match, in Temporal's words: \"Stage = 'onboarding'\".", "FILTER")] = "",
    by: By = "",
    why: Annotated[str, option("--why", "One sentence for the dossier of each trial.")] = "",
    as_json: Json = False,
) -> None:
    """Move open trials to another policy. Each checks it for itself; a second run finds them moved already."""
    policy, _, _ = _read(new)
    if apply and not by.strip():
        raise BadInput("nobody says who decides", "Add --by and your e-mail address", field="by")
    in_force, _ = read_policies(read_settings())
    changed = differences(in_force, policy)

    async def asked(tenure: Tenure) -> list[Adoption]:
        audited = tenure.authorization.operating(tenure.caller, ADOPT_POLICY.name, by=by, what=f"adopt policy {policy.hash}")
        async with audited if apply else nullcontext():
            return await adoptions(tenure, policy, where, by=by.strip(), why=why.strip(), do=apply)

    def page(_: object) -> Iterator[Any]:
        yield from _page(changed, found, policy.hash, apply)
        if policy.hash != in_force.hash:
            yield whole(f"→ New trials still start by {in_force.hash}: set TENURE_POLICY_FILE={new} for worker and web.", style="dim")

    found = ask(asked)
    emit({"policy": policy.hash, "in_force": in_force.hash, "applied": apply, "figures": changed, "trials": found}, as_json, page)
    if any(each.outcome == "mute" or (apply and each.outcome == "refused") for each in found):
        raise typer.Exit(1)


def _page(changed: list[Difference], found: list[Adoption], hash_: str, applied: bool) -> Iterator[Any]:
    if changed:
        yield Text("Figures that differ from those in force", style="bold")
        yield listed("differences", changed, was=lambda each: value(each.was), will=lambda each: value(each.will))
        yield ""
    yield listed("adoptions", found[:SHOWN], changes=_changes)
    if len(found) > SHOWN:
        yield dim(f"… and {len(found) - SHOWN} more; --json names all")
    counts = Counter(each.outcome for each in found)
    yield ""
    yield Text(f"Policy {hash_}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())), style="bold")
    if not applied and counts["would adopt"]:
        yield dim("→ nothing was changed; the same with --apply and --by YOU@… has it adopted")


def _changes(one: Adoption) -> str:
    """What changes for a trial, a line each, or why nothing does."""
    if one.outcome in ("has it", "refused", "mute"):
        return "" if one.outcome == "has it" else one.says
    return "\n".join(_moved(move) for move in (one.preview.moves if one.preview else ())) or "nothing that is ahead"


def _moved(move: Move) -> str:
    at = " → ".join(dict.fromkeys(f"{each:%d %b %H:%M}" for each in (move.was, move.will) if each))
    return f"{at}: {move.what}" + ("" if move.change == "means" else f" ({move.change})")


def _read(path: Path) -> tuple[Policy, AccountPolicy, list[Entry]]:
    """The policies of trials and of accounts in a file, and its figures. Raises :class:`BadInput` naming each wrong entry."""
    try:
        return figures.load(path), figures.load_accounts(path), figures.entries(path)
    except UNREADABLE as error:
        raise BadInput(f"{path} is no policy:\n{error}", f"Correct it; `tenure policy check {path}` tells when it is right") from None


def _policy_file(file: Path | None) -> Path:
    return file or read_settings().policy_file or figures.DEFAULT
