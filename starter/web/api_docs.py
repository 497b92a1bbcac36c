"""``GET /docs``: the API's document as a page of our own. The usual viewers load scripts from other sites, which ours does not allow."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from starter.web.render import Pages


class Route(NamedTuple):
    """One operation of the document, as the page shows it. ``parameters`` are names with what they mean."""

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[tuple[str, str], ...]
    example: str
    answers: tuple[str, ...]


def grouped(document: dict[str, Any]) -> dict[str, list[Route]]:
    """The operations by their first tag, in the document's order."""
    groups: dict[str, list[Route]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            route = Route(
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                description=operation.get("description", ""),
                parameters=tuple((given["name"], given.get("description", "")) for given in operation.get("parameters", ())),
                example=_example(document, operation),
                answers=tuple(operation["responses"]),
            )
            groups.setdefault(operation["tags"][0], []).append(route)
    return groups


def _example(document: dict[str, Any], operation: dict[str, Any]) -> str:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    examples = document.get("components", {}).get("schemas", {}).get(name, {}).get("examples", [])
    return json.dumps(examples[0], indent=2) if examples else ""


def router(pages: Pages) -> APIRouter:
    """The route, for :func:`starter.web.app.create_app`."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        document = request.app.openapi()
        return pages.page("docs.html", document=document, groups=grouped(document))

    return routes
