"""The API's document, and ``GET /docs``: the document as a page of our own. The usual viewers load scripts from other sites, which ours does not allow."""

import json
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from starter.web.problem_details import Problem
from starter.web.render import Pages


class Route(NamedTuple):
    """One operation of the document, and an example of what it takes."""

    method: str
    path: str
    operation: dict[str, Any]
    example: str


def grouped(document: dict[str, Any]) -> dict[str, list[Route]]:
    """The operations by their first tag, in the document's order."""
    groups: dict[str, list[Route]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            route = Route(method.upper(), path, operation, _example(document, operation))
            groups.setdefault(operation["tags"][0], []).append(route)
    return groups


def _example(document: dict[str, Any], operation: dict[str, Any]) -> str:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    examples = document.get("components", {}).get("schemas", {}).get(name, {}).get("examples", [])
    return json.dumps(examples[0], indent=2) if examples else ""


def add_to(routes: APIRouter, pages: Pages) -> None:
    """Add the route, for :func:`starter.web.app.create_app`."""

    @routes.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        document = request.app.openapi()
        return pages.page("docs.html", document=document, groups=grouped(document))


def describe(app: FastAPI) -> None:
    """Put into the document what the framework does not know: our problem's schema."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            generate()["components"]["schemas"] |= {**schema.pop("$defs"), "Problem": schema}
        return app.openapi_schema or {}

    app.openapi = document  # type: ignore[method-assign]  # the documented way to extend the document
