"""The commands about who may do what and who did: the table of rights, the audit, the tokens."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

import domain.all  # noqa: F401
from domain import rights as table
from domain.rights import Action, Group
from starter.cli import show_access
from starter.cli.base import By, Json, ask, console, emit, say
from starter.errors import BadInput, NotFound, Refused
from starter.service.tenure import Tenure
from store.audit import Audit
from store.service_tokens import ServiceTokens, Taken

PANEL = "Who may do what"
audit = typer.Typer(help="Look at who decided what and what was refused, and check that nobody touched it.", no_args_is_help=True)
token = typer.Typer(help="Make, list and revoke the tokens of machines and persons for the API.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(audit, name="audit", rich_help_panel=PANEL)
    app.add_typer(token, name="token", rich_help_panel=PANEL)
    app.command("rights", rich_help_panel=PANEL)(rights)


def rights(as_json: Json = False) -> None:
    """Print the table of rights, as Markdown."""
    cells = {action: {group.value: reach.value for group, reach in row.reach.items()} for action, row in table.rows()}
    answers = {role.value: [over.value for over in table.OVER[role]] for role in table.OVER}

    def show() -> None:
        sys.stdout.write(table.page())

    emit({"hash": table.table_hash(), "rights": cells, "answers": answers}, as_json, show)


@audit.command("list")
def audit_list(
    workflow: Annotated[str, typer.Option("--workflow", help="Only what concerns this process, by its id.", show_default=False)] = "",
    who: Annotated[str, typer.Option("--who", help="Only what this person did, or tried.", show_default=False)] = "",
    outcome: Annotated[str, typer.Option("--outcome", help="accepted, refused or unknown.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest decisions and refused attempts, the newest last."""
    if outcome not in ("", "accepted", "refused", "unknown"):
        raise BadInput(f"{outcome[:40]!r} is no outcome", "Choose accepted, refused or unknown", field="outcome")

    async def look(tenure: Tenure) -> Any:
        return await tenure.read(lambda: _audit(tenure).rows(limit, subject=workflow, who=who, outcome=outcome))

    found = ask(look, offline=True, existing=True)
    emit(found, as_json, lambda: show_access.audit(found))


@audit.command("verify")
def audit_verify(
    head: Annotated[
        str, typer.Option("--head", metavar="COUNT:HASH", help="A head that was kept elsewhere and must still stand.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """Walk the chain: a changed, missing, reordered or cut-off row is named, and the command exits with 1."""
    earlier = _head(head)

    async def look(tenure: Tenure) -> Any:
        return await tenure.read(lambda: _audit(tenure).verify(earlier))

    found = ask(look, offline=True, existing=True)
    emit(found, as_json, lambda: show_access.verdict(found))
    raise typer.Exit(0 if found.ok else 1)


@token.command("create")
def token_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called on the audit.", show_default=False)],
    role: Annotated[
        str, typer.Option("--role", help="A machine's: sdr, ce, ae, ta, manager, leadership, ops or desk.", show_default=False)
    ] = "",
    person: Annotated[
        str, typer.Option("--for", metavar="EMAIL", help="A person's own, with that person's rights.", show_default=False)
    ] = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Make a token. Its secret is printed once, and kept nowhere."""
    if bool(role) == bool(person):
        raise BadInput("a token is a machine's or a person's", "Say either --role ROLE or --for EMAIL")
    groups = {group.value: group for group in Group}
    if role and role not in groups:
        raise BadInput(f"{role[:40]!r} is no role of the rights", f"Choose one of: {', '.join(groups)}", field="role")

    async def make(tenure: Tenure) -> str:
        if person and await tenure.authorization.person(person) is None:
            raise NotFound(f"{person[:254]} is not among our people", "The CRM's people are copied every quarter of an hour")
        what = f"token create {name[:80]} {role or 'person ' + person}"
        async with tenure.authorization.operating(tenure.caller, Action.TOKENS, by=by, what=what):
            try:
                return await tenure.read(lambda: ServiceTokens(tenure.ledger).create(name, role=groups.get(role), person=person))
            except Taken as error:
                raise Refused(str(error), "Choose another name; the audit knows a token by it") from None
            except ValueError:
                raise BadInput(f"{name[:40]!r} is no name for a token", "Use letters, digits, . _ @ and -, 80 at most") from None

    secret = ask(make, offline=True)
    emit({"name": name, "role": role, "person": person, "token": secret}, as_json, lambda: console().print(secret, markup=False))


@token.command("list")
def token_list(as_json: Json = False) -> None:
    """List the tokens, without their secrets."""

    async def look(tenure: Tenure) -> Any:
        return await tenure.read(ServiceTokens(tenure.ledger).all)

    found = ask(look, offline=True, existing=True)
    emit(found, as_json, lambda: show_access.tokens(found))


@token.command("revoke")
def token_revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name.", show_default=False)],
    by: By = "",
    as_json: Json = False,
) -> None:
    """End a token, at once."""

    async def end(tenure: Tenure) -> str:
        async with tenure.authorization.operating(tenure.caller, Action.TOKENS, by=by, what=f"token revoke {name[:80]}"):
            if not await tenure.read(lambda: ServiceTokens(tenure.ledger).revoke(name)):
                raise NotFound(f"no token {name[:80]!r} works", "`tenure token list` lists them")
        return f"{name}: revoked"

    say(ask(end, offline=True), as_json)


def _audit(tenure: Tenure) -> Any:
    return Audit(tenure.ledger, (tenure.settings.vendor_domain,))


def _head(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,12}):([0-9a-f]{64})", text)
    if found is None:
        raise BadInput(f"{text[:80]!r} is no head", "Give it as `tenure audit verify` printed it: COUNT:HASH", field="head")
    return int(found[1]), found[2]
