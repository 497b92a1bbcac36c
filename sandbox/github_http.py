"""Reading GitHub requests and shaping answers: bodies, filters, the search syntax, pages."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.github_json import Json
from sandbox.github_store import Invalid, Issue, Repo

T = TypeVar("T")

DOCS = "https://docs.github.com/rest"
PER_PAGE = 30
PER_PAGE_CAP = 100


class NotJson(Exception):
    """The body was not a JSON value of the expected kind."""


class Unsupplied(Exception):
    """A required field of the body is absent; the text is its name."""


def refusal(status: int, message: str, **more: Any) -> JSONResponse:
    return JSONResponse({"message": message, **more, "documentation_url": DOCS, "status": str(status)}, status)


async def read_body(request: Request) -> Any:
    raw = await request.body()
    try:
        parsed = json.loads(raw or b"{}")
    except ValueError:
        raise NotJson from None
    if not isinstance(parsed, (dict, list)):
        raise NotJson
    return parsed


def required(body: Any, name: str) -> Any:
    if not isinstance(body, dict) or body.get(name) is None:
        raise Unsupplied(name)
    return body[name]


def listed(body: Any, name: str) -> list[Any]:
    found = body.get(name) if isinstance(body, dict) else body
    return found if isinstance(found, list) else []


def label_names(labels: Any) -> list[str]:
    """Label names out of ``["a"]``, ``[{"name": "a"}]`` or ``{"labels": [...]}``, which GitHub takes all three."""
    return [str(each["name"]) if isinstance(each, dict) else str(each) for each in listed({"labels": labels}, "labels")] or (
        label_names(labels["labels"]) if isinstance(labels, dict) and "labels" in labels else []
    )


def read_moment(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("Issue", "since", "invalid", value=text) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def fits(wanted: str | None, held: list[str]) -> bool:
    """GitHub's filter by assignee or milestone: a value, ``none``, or ``*`` for any."""
    if wanted is None:
        return True
    return {"none": not held, "*": bool(held)}.get(wanted, wanted.lower() in held)


def created_filter(text: str) -> Callable[[datetime], bool]:
    """The ``created`` parameter of workflow runs: ``>=2026-01-01``, ``a..b``, or a day."""
    if not text:
        return lambda moment: True
    low, dots, high = text.partition("..")
    if dots:
        start, end = read_moment(low), read_moment(high)
        return lambda moment: start <= moment <= end
    match = re.match(r"(>=|<=|>|<)?(.+)$", text)
    assert match is not None
    sign, edge = match[1] or "", read_moment(match[2])
    checks: dict[str, Callable[[datetime], bool]] = {
        ">=": lambda moment: moment >= edge,
        "<=": lambda moment: moment <= edge,
        ">": lambda moment: moment > edge,
        "<": lambda moment: moment < edge,
        "": lambda moment: moment.date() == edge.date(),
    }
    return checks[sign]


def search_filter(query: str) -> Callable[[Repo, Issue], bool]:
    """Understand the part of the search syntax that people use for issues: ``repo: is: state: label: author: in:`` and words."""
    checks: list[Callable[[Repo, Issue], bool]] = []
    words: list[str] = []
    places = ["title", "body", "comments"]
    for minus, key, quoted, bare in re.findall(r'(-?)(?:(\w+):)?(?:"([^"]*)"|(\S+))', query):
        value = (quoted or bare).lower()
        check = _qualifier(key, value)
        if key == "in":
            places = value.split(",")
        elif check is not None:
            checks.append(_negated(check) if minus else check)
        elif not key:
            words.append(value)
        else:
            words.append(f"{key}:{value}".lower())

    def matches(repo: Repo, issue: Issue) -> bool:
        texts = {"title": issue.title, "body": issue.body or "", "comments": "\n".join(c.body for c in issue.comments)}
        heap = "\n".join(texts[place] for place in places if place in texts).lower()
        return all(check(repo, issue) for check in checks) and all(word in heap for word in words)

    return matches


def _qualifier(key: str, value: str) -> Callable[[Repo, Issue], bool] | None:
    known: dict[str, Callable[[Repo, Issue], bool]] = {
        "repo": lambda repo, issue: repo.full_name.lower() == value,
        "org": lambda repo, issue: repo.owner.lower() == value,
        "user": lambda repo, issue: repo.owner.lower() == value,
        "state": lambda repo, issue: issue.state == value,
        "is": lambda repo, issue: value == "issue" or issue.state == value,
        "type": lambda repo, issue: value == "issue",
        "label": lambda repo, issue: value in [name.lower() for name in issue.labels],
        "author": lambda repo, issue: issue.author.lower() == value,
        "assignee": lambda repo, issue: value in [login.lower() for login in issue.assignees],
    }
    return known.get(key)


def _negated(check: Callable[[Repo, Issue], bool]) -> Callable[[Repo, Issue], bool]:
    return lambda repo, issue: not check(repo, issue)


def page_of(
    request: Request,
    items: Sequence[T],
    render: Callable[[T], Json],
    wrap: Callable[[list[Json], int], Json] | None = None,
) -> Response:
    """One page of ``items`` with the ``Link`` header; ``wrap`` makes the envelope of answers that carry a count."""
    try:
        size = min(max(int(request.query_params.get("per_page", PER_PAGE)), 1), PER_PAGE_CAP)
        page = max(int(request.query_params.get("page", 1)), 1)
    except ValueError:
        size, page = PER_PAGE, 1
    last = max(math.ceil(len(items) / size), 1)
    shown = [render(item) for item in items[(page - 1) * size : page * size]]

    def link(number: int, rel: str) -> str:
        query = dict(request.query_params) | {"page": str(number)}
        return f'<{request.url.replace(query=urlencode(query))}>; rel="{rel}"'

    links = []
    if page > 1:
        links += [link(page - 1, "prev")]
    if page < last:
        links += [link(page + 1, "next"), link(last, "last")]
    if page > 1:
        links += [link(1, "first")]
    return JSONResponse(wrap(shown, len(items)) if wrap else shown, headers={"Link": ", ".join(links)} if links else None)
