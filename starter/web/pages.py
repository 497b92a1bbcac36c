"""The public pages: the signup form and what it answers (A3), and the request for an invitation (A22). They need no JavaScript."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from domain import names
from starter.errors import BadInput, NotFound, Refused
from starter.service.forms import JoinForm, SignupForm, new_event
from starter.service.tenure import Tenure
from starter.web import signups
from starter.web.limiting import Limits
from starter.web.problem_details import Kept
from starter.web.render import Pages, sentence, typed

#: The form's fields: what each is called in a message, and how many characters it may have.
FIELDS = {
    "email": ("work e-mail address", 254),
    "first_name": ("first name", names.LONGEST),
    "last_name": ("last name", names.LONGEST),
    "company": ("company", names.LONGEST),
}
_EVENT = re.compile(r"[\x21-\x7e]{1,200}")


def faults(values: dict[str, str], required: tuple[str, ...]) -> dict[str, str]:
    """What is wrong with the typed values, by field, in words that say what to do."""
    found = {}
    for name, (called, longest) in FIELDS.items():
        length = len(values.get(name, ""))
        if not length and name in required:
            found[name] = f"Enter your {called}."
        elif length > longest:
            found[name] = f"Shorten it to {longest} characters; it has {length:,}."
        elif name != "email" and (why := names.fault(names.tidy(values.get(name, "")), values.get("email", ""))):
            found[name] = why
    return found


def router(tenure: Tenure, pages: Pages, limits: Limits) -> APIRouter:
    """The routes, for :func:`starter.web.app.create_app`. Pages are no part of the API's document."""
    routes = APIRouter(include_in_schema=False)

    def signup_form(values: dict[str, str], errors: dict[str, str], event: str, status: int) -> HTMLResponse:
        first = next((name for name in FIELDS if name in errors), "")
        shown = {name: values.get(name, "") for name in FIELDS}
        return pages.page("signup.html", status, typed=shown, errors=errors, first=first, event=event)

    @routes.get("/")
    async def show_signup() -> HTMLResponse:
        return signup_form({}, {}, new_event(), 200)

    @routes.post("/")
    async def sign_up(request: Request) -> HTMLResponse:
        values = await typed(request)
        # The id travels in the form, so that a second click, or a reload of the answer, is the same signup and not another.
        event = values.get("event", "")
        event = event if _EVENT.fullmatch(event) else new_event()
        await limits.check(request, values.get("email", ""))
        if errors := faults(values, required=tuple(FIELDS)):
            return signup_form(values, errors, event, 422)
        form = SignupForm(**{name: values[name] for name in FIELDS}, event_id=event)
        try:
            answer = await signups.take(tenure, limits, form)
        except BadInput as error:
            field = error.field if error.field in FIELDS else "form"
            return signup_form(values, {field: f"{sentence(error.detail)} {sentence(error.do)}"}, event, 422)
        except Refused as error:
            return pages.error(error, actions=[("Back to the form", "/")])
        except Kept as kept:
            return pages.error(kept, kept=True, headers={"Retry-After": str(kept.retry_after)})
        host_url = tenure.settings.instance(answer.host) if answer.host else ""
        return pages.page("result.html", answer=answer, email=form.email, host_url=host_url)

    def join_form(values: dict[str, str], errors: dict[str, str], status: int) -> HTMLResponse:
        shown = {name: values.get(name, "") for name in ("email", "first_name", "last_name")}
        return pages.page("join.html", status, typed=shown, errors={"form": "", "email": "", "first_name": "", "last_name": "", **errors})

    @routes.get("/join")
    async def show_join() -> HTMLResponse:
        return join_form({}, {}, 200)

    @routes.post("/join")
    async def join(request: Request) -> Response:
        values = {"first_name": "", "last_name": "", "email": "", **await typed(request)}
        await limits.check(request, values["email"])
        if errors := faults(values, required=("email",)):
            return join_form(values, errors, 422)
        form = JoinForm(email=values["email"], first_name=values["first_name"], last_name=values["last_name"])
        try:
            done = await tenure.join(form)
        except (BadInput, NotFound, Refused) as error:
            field = "email" if isinstance(error, BadInput) and error.field == "email" else "form"
            return join_form(values, {field: f"{sentence(error.detail)} {sentence(error.do)}"}, error.status)
        small = (f"Nothing heard after a few working days? Write to {pages.support}.",)
        return pages.said("Your request is on its way", done, small=small)

    return routes
