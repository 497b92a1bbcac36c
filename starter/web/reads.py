"""What the API shows, each page declared once: lists that go on where the page before ended, and one with everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from domain.account.account import RenewalRow
from domain.commands import PLAN, RED, RENEWAL
from domain.views import TaskView
from starter.service.accounts import Accounts
from starter.service.tenure import Tenure
from starter.service.views import AccountOverview, CustomerLine, ProcessView, TrialPage, TrialView
from starter.web.problem_details import problems
from store.read_model import Listed

#: What the service's methods take, as the API takes it; all else of it, its type and whether it may be left out, is the method's own.
TAKEN: dict[str, Any] = {
    "domain": Path(
        max_length=300,
        description="The company's domain (any host of it will do), or an address at a free-mail provider.",
        examples=["acme.com"],
    ),
    "account": Path(max_length=300, description="The customer's domain; any host of it will do.", examples=["acme.com"]),
    "stage": Query(max_length=100, description="Only those in this stage.", examples=["triage"]),
    "owner": Query(max_length=254, description="Only those of this person of ours."),
    "closed": Query(description="List those that are over, too."),
    "band": Query(max_length=20, description="Only healthy, concerning, poor or unknown ones.", examples=["poor"]),
    "quarter": Query(max_length=20, description="Only that fiscal quarter.", examples=["FY27-Q4"]),
    "status": Query(max_length=20, description="open, renewed, churned or cancelled; left empty, any."),
    "rating": Query(max_length=20, description="Only green, yellow or red ones."),
    "role": Query(max_length=50, description="Only what this role is asked.", examples=["inbound_sdr"]),
    "assignee": Query(max_length=254, description="Only what this person of ours is asked."),
    "workflow": Query(max_length=300, description="Only what this process asks.", examples=["trial-acme.com"]),
    "page": Query(max_length=4_000, description="`next_page` of the page before."),
    "after": Query(
        max_length=600,
        description="The next page: what names the last row of the page before: `workflow`, a customer's `domain`, a task's `id`.",
    ),
    "limit": Query(ge=1, le=200, description="Rows at most."),
}
#: Rows of a page where nobody says how many.
ROWS = 50
#: What a page with everything shows.
WHOLE = "Where it stands, what comes next and when, every decision so far with its evidence, and the open tasks."


def add_to(routes: APIRouter, tenure: Tenure, accounts: Accounts) -> None:
    """Add the routes."""
    customers = "Every customer that the last copy of the CRM knows."
    overview = "Who it is, how it does, its processes with what comes next and what is asked of whom, and its renewals."
    tasks = "Open tasks of all workflows, with their choices and the fields that each choice needs."
    trials = "One page from the server's visibility store, which may lag by a second or so."
    processes = "By account; where each stands, what comes next, and when its earliest task is due."
    renewal, plan = "An account's open renewal, or its last one", "An account's get-well plan, or its last one"
    red = "What is done about a red account, or was when it was red last"

    _add(routes, "/trials", tenure.trials, TrialPage, "List trials, newest first", trials)
    _add(routes, "/trials/{domain}", tenure.trial, TrialView, "Everything about one trial")
    _add(routes, "/tasks", tenure.tasks, list[TaskView], "List what people are asked to do, earliest due first", tasks)
    _add(routes, "/accounts", accounts.page, list[CustomerLine], "List customers by name, with their health", customers)
    _add(routes, "/accounts/{account}", accounts.overview, AccountOverview, "Everything about one account", overview)
    _add(
        routes,
        "/renewals",
        accounts.renewals,
        list[RenewalRow],
        "List renewals, the soonest first",
        "One row each, as the forecast reads it.",
    )
    for kind, listed in ((RED, "List red accounts"), (PLAN, "List get-well plans")):
        _add(routes, f"/{kind.place}", partial(accounts.processes, kind), list[Listed], listed, processes)
    for kind, one in ((RENEWAL, renewal), (RED, red), (PLAN, plan)):
        _add(routes, f"/{kind.place}/{{account}}", partial(accounts.of_kind, kind), ProcessView, one)


def _add(routes: APIRouter, path: str, look: Callable[..., Awaitable[Any]], shown: Any, summary: str, doc: str = WHOLE) -> None:
    """Add the route of a method of the service, which takes what the method does."""
    place, one = path.split("/")[1], "{" in path

    async def read(**given: Any) -> Any:
        return await look(**given)

    parameters = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            annotation=Annotated[str if one else type(taken.default), TAKEN[name]],
            default=ROWS if name == "limit" else taken.default,
        )
        for name, taken in signature(look).parameters.items()
    ]
    read.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what FastAPI reads of a function
    routes.add_api_route(
        path,
        read,
        name=f"{place}.{'show' if one else 'list'}",
        tags=[place],
        summary=summary,
        description=doc,
        response_model=shown,
        responses=problems(404) if one else None,
    )
