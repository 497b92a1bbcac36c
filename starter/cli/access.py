"""The commands about who may do what and who did: the table of rights, the audit, the tokens."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, TypeVar

import typer
from rich.text import Text

import domain.all  # noqa: F401
from domain import rights as table
from domain import rights_page
from domain.rights import Action, Group
from starter.cli.base import By, Json, argument, ask, emit, option, say, whole
from starter.cli.texts import listed
from starter.errors import BadInput, NotFound, Refused, require_one_of
from starter.service.tenure import Tenure
from store.access import ServiceToken, ServiceTokens, Taken
from store.audit import Audit, Verdict

T = TypeVar("T")

audit = typer.Typer(help="Look at who decided what and what was refused, and check that nobody touched it.")
token = typer.Typer(help="Make, list and revoke the tokens of machines and persons for the API.")

_COLOURS = {"accepted": "green", "refused": "red", "unknown": "yellow"}


def rights(as_json: Json = False) -> None:
    """Print the table of rights, as Markdown."""
    cells = {action: {group.value: reach.value for group, reach in row.reach.items()} for action, row in table.rows()}
    answers = {role.value: [over.value for over in table.OVER[role]] for role in table.OVER}
    answer = {"hash": table.table_hash(), "rights": cells, "answers": answers}
    emit(answer, as_json, lambda _: whole(rights_page.page().rstrip("\n")))


# --- The audit -------------------------------------------------------------------------------------------------------------------------


@audit.command("list")
def audit_list(
    workflow: Annotated[str, option("--workflow", "Only what concerns this process, by its id.")] = "",
    who: Annotated[str, option("--who", "Only what this person did, or tried.")] = "",
    outcome: Annotated[str, option("--outcome", "accepted, refused or unknown.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest decisions and refused attempts, the newest last."""
    require_one_of(list(_COLOURS), outcome, "is no outcome", "outcome")
    found = _of_audit(lambda audit: audit.rows(limit, subject=workflow, who=who, outcome=outcome))
    emit(found, as_json, lambda found: listed("audit", found, outcome=lambda said: Text(said, _COLOURS[said])))


@audit.command("verify")
def audit_verify(
    head: Annotated[str, option("--head", "A head that was kept elsewhere and must still stand.", "COUNT:HASH")] = "", as_json: Json = False
) -> None:
    """Walk the chain: a changed, missing, reordered or cut-off row is named, and the command exits with 1."""
    earlier = None
    if head:
        known = re.fullmatch(r"([0-9]{1,12}):([0-9a-f]{64})", head)
        if known is None:
            raise BadInput(f"{head[:80]!r} is no head", "Give it as `tenure audit verify` printed it: COUNT:HASH", field="head")
        earlier = int(known[1]), known[2]
    found = _of_audit(lambda audit: audit.verify(earlier))
    emit(found, as_json, _verdict)
    raise typer.Exit(0 if found.ok else 1)


def _of_audit(question: Callable[[Audit], T]) -> T:
    return _read(lambda tenure: question(Audit(tenure.ledger, (tenure.settings.vendor_domain,))))


def _read(question: Callable[[Tenure], T]) -> T:
    """Read from the ledger alone, which must be there."""
    return ask(lambda tenure: tenure.read(lambda: question(tenure)), offline=True, existing=True)


def _verdict(found: Verdict) -> Iterator[Text]:
    """What the walk along the chain found, and the head to keep elsewhere."""
    if found.ok:
        yield Text.assemble(("The audit stands", "bold green"), f": {found.count:,} rows, each as it was written.")
    else:
        what = "The audit was touched" if found.count else "There is no audit"
        yield Text.assemble((what, "bold red"), f": {found.fault}.")
    yield whole(f"head {found.count}:{found.head}", style="dim")


# --- Tokens ----------------------------------------------------------------------------------------------------------------------------


@token.command("create")
def token_create(
    name: Annotated[str, argument("NAME", "What it is called on the audit.")],
    role: Annotated[str, option("--role", "A machine's: sdr, ce, ae, ta, manager, leadership, ops or desk.")] = "",
    person: Annotated[str, option("--for", "A person's own, with that person's rights.", "EMAIL")] = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Make a token. Its secret is printed once, and kept nowhere."""
    if bool(role) == bool(person):
        raise BadInput("a token is a machine's or a person's", "Say either --role ROLE or --for EMAIL")
    require_one_of([group.value for group in Group], role, "is no role of the rights", "role")

    async def make(tenure: Tenure) -> str:
        if person and await tenure.authorization.person(person) is None:
            raise NotFound(f"{person[:254]} is not among our people", "The CRM's people are copied every quarter of an hour")
        group, what = Group(role) if role else None, f"token create {name[:80]} {role or 'person ' + person}"
        async with tenure.authorization.operating(tenure.caller, Action.TOKENS, by=by, what=what):
            try:
                return await tenure.read(lambda: ServiceTokens(tenure.ledger).create(name, role=group, person=person))
            except Taken as error:
                raise Refused(str(error), "Choose another name; the audit knows a token by it") from None
            except ValueError:
                raise BadInput(f"{name[:40]!r} is no name for a token", "Use letters, digits, . _ @ and -, 80 at most") from None

    secret = ask(make, offline=True)
    say(secret, as_json, {"name": name, "role": role, "person": person, "token": secret})


@token.command("list")
def token_list(as_json: Json = False) -> None:
    """List the tokens, without their secrets."""
    emit(_read(lambda tenure: ServiceTokens(tenure.ledger).all()), as_json, lambda found: listed("tokens", found, state=_state))


@token.command("revoke")
def token_revoke(name: Annotated[str, argument("NAME", "The token's name.")], by: By = "", as_json: Json = False) -> None:
    """End a token, at once."""

    async def end(tenure: Tenure) -> str:
        async with tenure.authorization.operating(tenure.caller, Action.TOKENS, by=by, what=f"token revoke {name[:80]}"):
            if not await tenure.read(lambda: ServiceTokens(tenure.ledger).revoke(name)):
                raise NotFound(f"no token {name[:80]!r} works", "`tenure token list` lists them")
        return f"{name}: revoked"

    say(ask(end, offline=True), as_json)


def _state(each: ServiceToken) -> Text:
    return Text(f"revoked {each.revoked_at:%Y-%m-%d}", "red") if each.revoked_at else Text("works", "green")
