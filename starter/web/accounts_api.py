"""The API's pages about customers: accounts, renewals, red accounts and get-well plans, as lists and one with everything."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from domain.account.account import RenewalRow
from domain.commands import PLAN, RED, RENEWAL, Kind
from starter.service.accounts import Accounts
from starter.service.views import AccountOverview, CustomerLine, ProcessView
from starter.web.decisions import Account
from starter.web.problem_details import PROBLEMS
from store.read_model import Listed

LISTED: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (422, 503)}
READ: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (404, 422, 503)}
Limit = Annotated[int, Query(ge=1, le=200, description="Rows at most.")]
AfterWorkflow = Annotated[str, Query(max_length=400, description="The next page: `workflow` of the last row of the page before.")]
Stage = Annotated[str, Query(max_length=64, description="Only those in this stage.")]
Owner = Annotated[str, Query(max_length=254, description="Only those of this person of ours.")]
Closed = Annotated[bool, Query(description="List those that are over, too.")]
Band = Annotated[str, Query(max_length=20, description="Only healthy, concerning, poor or unknown ones.", examples=["poor"])]
Quarter = Annotated[str, Query(max_length=20, description="Only that fiscal quarter.", examples=["FY27-Q4"])]
Status = Annotated[str, Query(max_length=20, description="open, renewed, churned or cancelled; left empty, any.")]
Rating = Annotated[str, Query(max_length=20, description="Only green, yellow or red ones.")]


def add_to(routes: APIRouter, accounts: Accounts) -> None:
    """Add the routes."""

    @routes.get("/accounts", tags=["accounts"], summary="List customers by name, with their health", responses=LISTED)
    async def customers(
        band: Band = "",
        after: Annotated[str, Query(max_length=300, description="The next page: `domain` of the last customer of the page before.")] = "",
        limit: Limit = 50,
    ) -> list[CustomerLine]:
        """Every customer that the last copy of the CRM knows."""
        return await accounts.page(band, after=after, limit=limit)

    @routes.get("/accounts/{account}", tags=["accounts"], summary="Everything about one account", responses=READ)
    async def overview(account: Account) -> AccountOverview:
        """Who it is, how it does, its processes with what comes next and what is asked of whom, and its renewals."""
        return await accounts.overview(account)

    @routes.get("/renewals", tags=["renewals"], summary="List renewals, the soonest first", responses=LISTED)
    async def renewals(
        quarter: Quarter = "", status: Status = "open", rating: Rating = "", after: AfterWorkflow = "", limit: Limit = 50
    ) -> list[RenewalRow]:
        """One row each, as the forecast reads it."""
        return await accounts.renewals(quarter=quarter, status=status, rating=rating, after=after, limit=limit)

    @routes.get("/renewals/{account}", tags=["renewals"], summary="An account's open renewal, or its last one", responses=READ)
    async def renewal(account: Account) -> ProcessView:
        """Where it stands, what comes next, every decision with its evidence, and the open tasks."""
        return await accounts.of_kind(RENEWAL, account)

    _add_kind(routes, accounts, RED, "red accounts", "What is done about a red account, or was when it was red last")
    _add_kind(routes, accounts, PLAN, "get-well plans", "An account's get-well plan, or its last one")


def _add_kind(routes: APIRouter, accounts: Accounts, kind: Kind, words: str, one: str) -> None:
    """The list of a kind of process, from the tables that its processes keep, and one with everything."""

    @routes.get(f"/{kind.place}", name=f"{kind.workflow}.list", tags=[kind.place], summary=f"List {words}", responses=LISTED)
    async def listed(
        stage: Stage = "", owner: Owner = "", closed: Closed = False, after: AfterWorkflow = "", limit: Limit = 50
    ) -> list[Listed]:
        """By account; where each stands, what comes next, and when its earliest task is due."""
        return await accounts.processes(kind, stage=stage, owner=owner, closed=closed, after=after, limit=limit)

    @routes.get(f"/{kind.place}/{{account}}", name=f"{kind.workflow}.show", tags=[kind.place], summary=one, responses=READ)
    async def shown(account: Account) -> ProcessView:
        """Where it stands, what comes next, every decision with its evidence, and the open tasks."""
        return await accounts.of_kind(kind, account)
