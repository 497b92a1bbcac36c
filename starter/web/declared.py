"""The API's routes that are made from what there is: one for each read of the service, and one for each decision (:mod:`domain.commands`)."""

from collections.abc import Awaitable, Callable, Iterable
from functools import cache, partial
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from domain import commands
from domain.account.account import RenewalRow
from domain.base import Value
from domain.commands import PLAN, RED, RENEWAL, Command
from domain.views import TaskView
from starter.service.accounts import Accounts
from starter.service.authorization import Caller
from starter.service.forms import EventId, new_event
from starter.service.tenure import Tenure
from starter.service.views import AccountOverview, CustomerLine, ProcessView, TrialPage, TrialView
from starter.web.authentication import caller_of
from starter.web.problem_details import problems
from starter.web.texts import PARAMETERS, READS
from store.read_model import Listed

BY = "Who decides: left out, or your own address; a token of ops names the person for whom it acts."
#: Rows of a page where nobody says how many.
ROWS = 50
#: What a page with everything shows.
WHOLE = "Where it stands, what comes next and when, every decision so far with its evidence, and the open tasks."

Asker = Annotated[Caller, Depends(caller_of)]


async def _event(
    idempotency_key: Annotated[
        EventId | None,
        Header(description="Your own id of this click or request; sent again, it has no second effect.", examples=["6f1c0c52"]),
    ] = None,
) -> str:
    return idempotency_key or new_event()


#: The caller's own id of a write, or a new one.
Event = Annotated[str, Depends(_event)]


class Done(Value):
    """What was done, in words."""

    done: str


def strict(**example: Any) -> ConfigDict:
    """Configuration of a request's body: a misspelt field is an error here, although a workflow would pass over it."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


@cache
def body_of(command: Command[Any]) -> type[BaseModel]:
    """The message of a decision as a request's body, with its example."""
    model, by = command.message, command.message.model_fields["by"]
    config = {**model.model_config, **strict(**command.example)}
    base = type(f"{command.of.workflow}{model.__name__}", (model,), {"model_config": config, "__module__": model.__module__})
    described = FieldInfo.merge_field_infos(by, default="", description=BY)
    return create_model(f"{model.__name__}Body", __base__=base, __doc__=f"{command.summary}.", by=(by.annotation, described))


def add_reads(routes: APIRouter, tenure: Tenure, accounts: Accounts) -> None:
    """Add what the API shows: lists that go on where the page before ended, and one with everything. Each takes what the service's method does."""
    looks: dict[str, tuple[Callable[..., Awaitable[Any]], Any]] = {
        "/trials": (tenure.trials, TrialPage),
        "/trials/{domain}": (tenure.trial, TrialView),
        "/tasks": (tenure.tasks, list[TaskView]),
        "/accounts": (accounts.page, list[CustomerLine]),
        "/accounts/{account}": (accounts.overview, AccountOverview),
        "/renewals": (accounts.renewals, list[RenewalRow]),
        **{f"/{kind.place}": (partial(accounts.processes, kind), list[Listed]) for kind in (RED, PLAN)},
        **{f"/{kind.place}/{{account}}": (partial(accounts.of_kind, kind), ProcessView) for kind in (RENEWAL, RED, PLAN)},
    }
    for path, (look, shown) in looks.items():
        place, one = path.split("/")[1], "{" in path
        takes = [
            _taken(name, path, str if one else type(taken.default), ROWS if name == "limit" else taken.default)
            for name, taken in signature(look).parameters.items()
        ]
        routes.add_api_route(
            path,
            _taking(look, takes),
            name=f"{place}.{'show' if one else 'list'}",
            tags=[place],
            response_model=shown,
            responses=problems(404) if one else None,
            **{"description": WHOLE, **READS[path]},
        )


def add_decisions(routes: APIRouter, accounts: Accounts) -> None:
    """Add the route of every decision about each kind of process."""
    for command in (command for kind in commands.kinds() for command in commands.of(kind)):
        more = {"body": body_of(command), "caller": Asker, "event": Event}
        takes = [
            _taken(command.of.key, command.path),
            *(Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in more.items()),
        ]
        routes.add_api_route(
            command.path,
            _taking(partial(_decide, accounts, command), takes),
            methods=["POST"],
            tags=[command.of.place],
            name=f"{command.of.workflow}.{command.name}",
            summary=command.summary,
            description=command.doc,
            responses=problems(404, 409),
            response_model=Done,
        )


async def _decide(accounts: Accounts, command: Command[Any], **given: Any) -> Done:
    return Done(done=await accounts.called_by(given["caller"]).decide(command, given[command.of.key], given["body"], given["event"]))


def _taken(name: str, path: str, kind: type = str, default: Any = Parameter.empty) -> Parameter:
    """A parameter of the path or the query, as the API takes it."""
    place = Path if f"{{{name}}}" in path else Query
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=Annotated[kind, place(**PARAMETERS[name])], default=default)


def _taking(work: Callable[..., Awaitable[Any]], takes: Iterable[Parameter]) -> Callable[..., Any]:
    """The function of a route that hands on what it takes."""

    async def route(**given: Any) -> Any:
        return await work(**given)

    route.__signature__ = Signature(list(takes))  # type: ignore[attr-defined]  # what FastAPI reads of a function
    return route
