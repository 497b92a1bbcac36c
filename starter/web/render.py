"""How a page is made: Jinja2 templates, and static files whose addresses change with their content."""

import hashlib
from datetime import UTC, datetime
from email.utils import parseaddr
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import JsonValue
from starlette.types import Scope

from domain.policy import Policy
from starter.errors import TenureError
from starter.web.problem_details import Kept, headers_of, problem_of
from starter.web.texts import PAGES
from store.settings import Settings

HERE = Path(__file__).parent
MOST_FIELDS = 100


class Pages:
    """Renders the templates. What every page says is given once: the brand, the support address and the policy's figures."""

    def __init__(self, settings: Settings, policy: Policy) -> None:
        self.support = settings.support_email
        # The vendor's name is the one that its mails come from.
        self.brand = (parseaddr(settings.mail_from)[0] or "Tenure").removesuffix(" trials")
        self._env = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._env.globals.update(
            static=static_url,
            brand=self.brand,
            support=self.support,
            days=policy.trial.self_serve.base_days,
            extension=policy.trial.self_serve.extension_days,
            triage_time=working_time(policy.triage.sla_hours),
            link_hours=policy.handoff.share_link_ttl_hours,
        )
        self._env.filters.update(
            moment=moment, words=lambda name: name.replace("_", " "), headline=headline, plain=plain, sentence=sentence
        )

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page of that template; a value that it misses is an error here and not a gap on the page."""
        return HTMLResponse(self._env.get_template(name).render(**values), status)

    def said(self, name: str, *, value: str = "", **filled: str) -> HTMLResponse:
        """A page of :data:`PAGES`: it says one thing, and may show a value, or offer one button that posts to the page itself."""
        text = {part: line.format(support=self.support, **filled) for part, line in PAGES[name].items()}
        return self.page("said.html", value=value, **{"button": "", "small": "", **text})

    def error(self, error: TenureError) -> HTMLResponse:
        """A page that says what went wrong and what to do."""
        problem = problem_of(error)
        page = self.page("trouble.html", problem.status, problem=problem, kept=isinstance(error, Kept))
        page.headers.update(headers_of(error))
        return page


class Static(StaticFiles):
    """Static files that a browser may keep for ever: their address holds a digest of their content."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        """The file, with a header that lets it be kept."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


@cache
def static_url(name: str) -> str:
    """The address of a static file; it changes when the file does."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"


async def typed(request: Request, *, lines: bool = False) -> dict[str, str]:
    """The fields of a posted form, without control characters; one line each, unless ``lines`` may be kept.

    A file, or a field too many, is an error of the client.
    """
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
        found = {name: value for name, value in form.items() if isinstance(value, str)}
    return {name: "\n".join(one_line(line) for line in (value.strip().splitlines() if lines else [value])) for name, value in found.items()}


def one_line(text: str) -> str:
    """Text without line breaks or control characters, which no name or address has and some databases refuse."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def sentence(text: str) -> str:
    """A message as a sentence: it begins with a capital and ends with a full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def working_time(hours: int) -> str:
    """A time by which people of ours act, as they would say it: a whole number of days counts working days."""
    days, rest = divmod(hours, 24)
    if rest or not days:
        return f"{hours} hours" if hours != 1 else "an hour"
    return "a working day" if days == 1 else f"{days} working days"


def moment(at: datetime) -> str:
    """A moment as people write it, in UTC: ``22 Nov 2026, 14:05 UTC``."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def plain(value: JsonValue) -> str:
    """A fact's value as words: yes, no, none, or what it is."""
    match value:
        case None | "" | []:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(plain(one) for one in value)
        case _:
            return str(value)


def headline(markdown: str) -> str:
    """The first line of the words that a workflow shows in the Web UI, which takes Markdown, as plain text."""
    return markdown.partition("\n")[0].replace("**", "").replace("`", "")
