"""The console: open trials and open tasks on one page, with a form for each answer; and one page for each trial.

It asks the same service as the API and the command line, so an answer means the same here and there. Whoever answers is whoever is signed in.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from domain.task import Answer
from starter.errors import BadInput, NotFound, Refused
from starter.service.commands import read
from starter.service.forms import new_event
from starter.service.tenure import Tenure
from starter.web.authentication import caller_of, check_csrf, csrf_of
from starter.web.render import Pages, typed

TRIALS_SHOWN = 25
TASKS_SHOWN = 30
CHECK = "check."
FIELD = "field."


def answer_of(values: dict[str, str]) -> Answer:
    """The answer that a posted form is: its checks and fields carry their names behind a prefix, and what was left empty is not given."""
    given = {
        "task": values.get("task", "").rpartition(":")[2],
        "choice": values.get("choice", ""),
        "by": values.get("by", ""),
        "note": values.get("note", ""),
        "checks": {name.removeprefix(CHECK): value == "yes" for name, value in values.items() if name.startswith(CHECK) and value},
        "fields": {name.removeprefix(FIELD): value for name, value in values.items() if name.startswith(FIELD) and value},
    }
    return read(Answer, given)


def signed(request: Request) -> dict[str, str]:
    """What a page shows of whoever is signed in, and the secret of its forms."""
    caller = caller_of(request)
    return {"who": caller.email or f"token {caller.token}", "csrf": csrf_of(request) if not caller.token else ""}


def add_to(routes: APIRouter, tenure: Tenure, pages: Pages) -> None:
    """Add the routes, for :func:`starter.web.app.create_app`."""

    async def desk(request: Request, page: str = "", after: str = "", *, status: int = 200, **told: Any) -> HTMLResponse:
        """The page; ``told`` are what was done or why not, and what was typed."""
        listed, tasks = await asyncio.gather(tenure.trials(TRIALS_SHOWN, page), tenure.tasks(TASKS_SHOWN, after=after))
        return pages.page(
            "console.html",
            status,
            listed=listed,
            first=not page,
            tasks=tasks,
            tasks_shown=TASKS_SHOWN,
            events={task.id: new_event() for task in tasks},
            now=datetime.now(UTC),
            signed=signed(request),
            **{"said": "", "refused": "", "values": {}, **told},
        )

    @routes.get("/console")
    async def show(
        request: Request, page: Annotated[str, Query(max_length=4_000)] = "", after: Annotated[str, Query(max_length=600)] = ""
    ) -> HTMLResponse:
        return await desk(request, page, after)

    @routes.post("/console")
    async def answer(request: Request) -> HTMLResponse:
        values = await typed(request)
        check_csrf(request, values)
        service = tenure.called_by(caller_of(request))
        try:
            done = await service.answer(values.get("task", ""), answer_of(values), values.get("event", "")[:200] or new_event())
        except (BadInput, NotFound, Refused) as error:
            return await desk(request, refused=str(error), values=values, status=error.status)
        return await desk(request, said=done)

    @routes.get("/console/trials/{domain}")
    async def show_trial(request: Request, domain: str) -> HTMLResponse:
        view, effects = await asyncio.gather(tenure.trial(domain), tenure.effects(domain))
        return pages.page("trial.html", view=view, effects=effects[-200:], left_out=max(0, len(effects) - 200), signed=signed(request))
