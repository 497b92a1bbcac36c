"""Every decision's route and its body, made from its declaration (:mod:`domain.commands`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from domain import commands
from domain.base import Value
from domain.commands import Command
from starter.service.accounts import Accounts
from starter.service.authorization import Caller
from starter.service.forms import EventId, new_event
from starter.web.authentication import caller_of
from starter.web.problem_details import problems
from starter.web.reads import TAKEN

Asker = Annotated[Caller, Depends(caller_of)]
BY = "Who decides: left out, or your own address; a token of ops names the person for whom it acts."


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


@cache
def body_of(command: Command[Any]) -> type[BaseModel]:
    """The message as a request's body, with its example. A misspelt field is an error here, although a workflow would pass over it."""
    model, by = command.message, command.message.model_fields["by"]
    strict = {**model.model_config, "extra": "forbid", "json_schema_extra": {"examples": [dict(command.example)]}}
    base = type(f"{command.of.workflow}{model.__name__}", (model,), {"model_config": strict, "__module__": model.__module__})
    described = FieldInfo.merge_field_infos(by, default="", description=BY)
    return create_model(f"{model.__name__}Body", __base__=base, __doc__=f"{command.summary}.", by=(by.annotation, described))


def add_to(routes: APIRouter, accounts: Accounts, kind: commands.Kind) -> None:
    """Add the route of every decision about a kind of process."""
    for command in commands.of(kind):
        routes.add_api_route(
            command.path,
            _route(command, accounts),
            methods=["POST"],
            tags=[kind.place],
            name=f"{kind.workflow}.{command.name}",
            summary=command.summary,
            description=command.doc,
            responses=problems(404, 409),
            response_model=Done,
        )


def _route(command: Command[Any], accounts: Accounts) -> Callable[..., Any]:
    key = command.of.key

    async def decide(**given: Any) -> Done:
        return Done(done=await accounts.called_by(given["caller"]).decide(command, given[key], given["body"], given["event"]))

    taken = {key: Annotated[str, TAKEN[key]], "body": body_of(command), "caller": Asker, "event": Event}
    parameters = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in taken.items()]
    decide.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what FastAPI reads of a function
    return decide
