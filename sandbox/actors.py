"""The people of the process, as actors on cue: those of the vendor who answer what Tenure asks, and the Cloud team at its issues.

They know Tenure only by its public HTTP API, whose address and ``token`` each cue carries, and find their part there as people do: they
look until the task is open, read it, and answer it under their own address. All cues are ``POST`` under ``/_sandbox/people``:

=============  ================================================================================================================
``/answer``    ``{tenure, domain | workflow, task, choice, fields?, fails?, note?}``: answer an open task, whose ``task`` is its kind
               or id. Every check of the task is a yes except those named in ``fails``.
``/decide``    ``{tenure, domain, act, body?}``: the CE of a trial extends, converts, terminates … it unasked.
``/build``     ``{tenure, domain | workflow, task}``: the Cloud team does the issue that the task names;
               ``{tenure, domain, issue}``: the issue that the trial raised under that name (``extend-1``).
=============  ================================================================================================================

A part that is not there within ``patience`` seconds (90) is answered 504, a request that Tenure refused 502; ``error`` says which.
A task of a trial is looked up by ``domain``, one of any other workflow by ``workflow``.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.core import World
from sandbox.org import MAIL_DOMAIN, PEOPLE

#: Seconds within which a part comes up, unless the cue says otherwise; and between two looks for it. A worker that dies is missed for a minute.
PATIENCE = 90.0
BETWEEN_LOOKS = 0.15
#: Seconds that one look may take; and the most tasks that the list gives.
LOOK = 3.0
MOST_TASKS = 100

Cue = dict[str, Any]


def somebody(role: str) -> str:
    """The address of whoever has that role; a role that nobody has is answered for by its own mailbox."""
    return next((person.email for person in PEOPLE if person.role == role), f"{role.replace('_', '-')}@{MAIL_DOMAIN}")


def issue_of(task: Mapping[str, Any]) -> int:
    """The number of the issue that a task's title names. LookupError when it names none."""
    found = re.search(r"#(\d+)", str(task["title"]))
    if found is None:
        raise LookupError(f"{task['id']} names no issue: {task['title']}")
    return int(found[1])


class Actors:
    """Everybody. ``http`` reaches Tenure; ``world`` is the sandbox, where the Cloud team works."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self._world = world
        self._http = http

    async def answer(self, cue: Cue) -> dict[str, Any]:
        """Answer a task; returns the task, who answered with what, and what Tenure said."""
        task = await self._task(cue)
        who = task["assignee"] or somebody(task["role"])
        fails = cue.get("fails", ())
        checks = {check["name"]: check["name"] not in fails for check in task["checks"]}
        body = {"choice": cue["choice"], "by": who, "note": cue.get("note", ""), "checks": checks, "fields": cue.get("fields", {})}
        said = await self._say(cue, f"/api/tasks/{task['id']}/answer", body)
        return {"task": task["id"], "title": task["title"], "role": task["role"], "by": who, "choice": cue["choice"], "said": said}

    async def decide(self, cue: Cue) -> dict[str, Any]:
        """The trial's CE decides unasked; returns who did, and what Tenure said."""
        trial = await self._until(cue, "trial", lambda: self._look(cue, f"/api/trials/{cue['domain']}"))
        who = trial["status"]["ce"] or somebody("ce")
        return {"by": who, "said": await self._say(cue, f"/api/trials/{cue['domain']}/{cue['act']}", {**cue.get("body", {}), "by": who})}

    async def build(self, cue: Cue) -> dict[str, Any]:
        """The Cloud team does an issue; returns its number and the label that said what to do."""
        if "task" in cue:
            number = issue_of(await self._task(cue))
        else:
            number = await self._until(cue, f"issue {cue['issue']}", lambda: self._raised(cue))
        hub, cloud = self._world.services["github"].hub, self._world.services["cloud"]
        repo = next((repo for repo in hub.repos.values() if number in repo.issues), None)
        if repo is None:
            raise LookupError(f"there is no issue #{number}")
        return {"issue": number, "did": await asyncio.to_thread(cloud.act, repo, repo.issues[number])}

    async def _task(self, cue: Cue) -> dict[str, Any]:
        task: dict[str, Any] = await self._until(cue, f"task {cue['task']}", lambda: self._open(cue))
        return task

    async def _open(self, cue: Cue) -> dict[str, Any] | None:
        if "domain" in cue:
            tasks = (await self._look(cue, f"/api/trials/{cue['domain']}") or {}).get("tasks", [])
        else:
            tasks = await self._look(cue, f"/api/tasks?workflow={quote(cue['workflow'])}&limit={MOST_TASKS}") or []
        return next((task for task in tasks if cue["task"] in (task["kind"], task["task"])), None)

    async def _raised(self, cue: Cue) -> int:
        trial = await self._look(cue, f"/api/trials/{cue['domain']}")
        return int(trial["status"]["issues"].get(cue["issue"], 0)) if trial else 0

    async def _until(self, cue: Cue, part: str, look: Callable[[], Awaitable[Any]]) -> Any:
        patience = float(cue.get("patience", PATIENCE))
        give_up = time.monotonic() + patience
        while not (found := await look()):
            if time.monotonic() > give_up:
                raise HTTPException(504, f"{cue.get('domain') or cue['workflow']}: no {part} within {patience:g} seconds")
            await asyncio.sleep(BETWEEN_LOOKS)
        return found

    async def _look(self, cue: Cue, path: str) -> Any:
        """Read; None for what is not there (yet) or does not answer now. Whoever looks will look again."""
        try:
            answer = await self._http.get(_address(cue, path), timeout=LOOK, headers=_headers(cue))
        except httpx.TimeoutException:
            return None
        except httpx.HTTPError as error:
            raise HTTPException(502, f"{path}: Tenure does not answer ({type(error).__name__})") from error
        return None if answer.status_code in (404, 503) else _read(path, answer)

    async def _say(self, cue: Cue, path: str, body: Cue) -> str:
        """Write; returns what Tenure did, in words."""
        try:
            answer = await self._http.post(_address(cue, path), json=body, headers=_headers(cue))
        except httpx.HTTPError as error:
            raise HTTPException(502, f"{path}: Tenure does not answer ({type(error).__name__})") from error
        return str(_read(path, answer)["done"])


def _address(cue: Cue, path: str) -> str:
    return str(cue["tenure"]).rstrip("/") + path


def _headers(cue: Cue) -> dict[str, str]:
    return {"Authorization": f"Bearer {cue['token']}"} if "token" in cue else {}


def _read(path: str, answer: httpx.Response) -> Any:
    if answer.status_code >= 400:
        raise HTTPException(502, f"{path}: {answer.status_code} {answer.text[:500]}")
    return answer.json()


def create_app(world: World) -> Starlette:
    """The actors, to be mounted under ``/_sandbox/people``."""

    def on_cue(name: str) -> Route:
        async def play(request: Request) -> Response:
            # A connection for each cue: nothing is left open when the sandbox stops, and a cue is rare.
            async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
                part: Callable[[Cue], Awaitable[dict[str, Any]]] = getattr(Actors(world, http), name)
                try:
                    return JSONResponse(await part(dict(await request.json())))
                except KeyError as error:
                    raise HTTPException(422, f"the cue for {name!r} lacks {error}") from error
                except LookupError as error:
                    raise HTTPException(409, str(error)) from error
                except (TypeError, ValueError) as error:
                    raise HTTPException(422, f"the cue for {name!r} cannot be read: {error}") from error

        return Route(f"/{name}", play, methods=["POST"])

    return Starlette(routes=[on_cue(name) for name in ("answer", "decide", "build")], exception_handlers={HTTPException: _explain})


async def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)
