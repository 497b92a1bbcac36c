"""What prospects send: the signup, by the form and by the API alike (A3), and the request for an invitation (A22).

A signup is taken, or it is kept and whoever signed up is told so (A21). The forms' pages need no JavaScript.
"""

import logging
import re
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from domain import names
from domain.messages import SignupAnswer
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service.forms import JoinForm, SignupForm, new_event
from starter.service.tenure import Tenure
from starter.web.limiting import Limits
from starter.web.problem_details import Fault, Kept, TooMany
from starter.web.render import Pages, sentence, typed
from starter.web.texts import fault
from store import metrics

log = logging.getLogger(__name__)

#: Seconds after which a program may ask again, where nothing says better.
AGAIN = 60
#: The forms' fields: what each is called in a message, and how many characters it may have.
FIELDS = {
    "email": ("work e-mail address", 254),
    "first_name": ("first name", names.LONGEST),
    "last_name": ("last name", names.LONGEST),
    "company": ("company", names.LONGEST),
}
_EVENT = re.compile(r"[\x21-\x7e]{1,200}")

#: Carries out what was typed, under the id of the click, and says what came of it.
Carry = Callable[[dict[str, str], str], Awaitable[HTMLResponse]]


async def take(tenure: Tenure, limits: Limits, form: SignupForm) -> SignupAnswer:
    """Sign up. Raises :class:`Kept` when that cannot be done now; :class:`BadInput`, :class:`NotFound` and :class:`Refused` are answers, and nothing is kept.

    What could be neither taken nor kept is a :class:`Fault`, and says whom to write to.
    """
    tenure.outsider(form.email)  # a wrong address is said at once: nobody could write to it later
    try:
        await limits.together()
        answer = await tenure.signup(form)
    except (BadInput, NotFound, Refused):
        metrics.count("tenure_signups", outcome="refused")
        raise
    except Exception as error:
        raise await _kept(tenure, form, error) from error
    metrics.count("tenure_signups", outcome=answer.outcome)
    return answer


async def _kept(tenure: Tenure, form: SignupForm, error: Exception) -> TenureError:
    crowded, known = isinstance(error, TooMany), isinstance(error, TenureError)
    log.log(logging.WARNING if known else logging.ERROR, "signup %s: %s", form.event_id, error, exc_info=None if known else error)
    why = str(error) if crowded or isinstance(error, Unavailable) else f"{type(error).__name__}; event {form.event_id}"
    try:
        reference = await tenure.failed_signup(form, why)
    except Exception:
        log.exception("signup %s could not be kept", form.event_id)
        metrics.count("tenure_signups", outcome="lost")
        said = fault("not_even_kept", support=tenure.settings.support_email, event=form.event_id)
        return Fault(503, **said, code=Unavailable.code)
    metrics.count("tenure_signups", outcome="kept")
    matter = "more people sign up at this moment than we take" if crowded else "something on our side does not answer"
    return Kept(
        **fault("kept", matter=matter, email=form.email, hours=tenure.policy.tasks.rescue_hours),
        reference=reference,
        retry_after=error.retry_after if isinstance(error, TooMany) else AGAIN,
        status=503 if crowded else error.status if isinstance(error, TenureError) else 500,
    )


def faults(values: dict[str, str], required: tuple[str, ...]) -> dict[str, str]:
    """What is wrong with the typed values, by field, in words that say what to do."""
    found = {}
    for name, value in values.items():
        called, longest = FIELDS[name]
        if not value and name in required:
            found[name] = f"Enter your {called}."
        elif len(value) > longest:
            found[name] = f"Shorten it to {longest} characters; it has {len(value):,}."
        elif name != "email" and (why := names.fault(names.tidy(value), values["email"])):
            found[name] = why
    return found


def add_to(routes: APIRouter, tenure: Tenure, pages: Pages, limits: Limits) -> None:
    """Add the forms' routes, for :func:`starter.web.app.create_app`."""

    def add(path: str, template: str, fields: tuple[str, ...], required: tuple[str, ...], carry: Carry) -> None:
        """A form at ``path``: what cannot be taken is said beside its field, and what was typed is kept."""

        def page(values: dict[str, str], errors: dict[str, str], event: str, status: int = 200) -> HTMLResponse:
            first = next((name for name in fields if name in errors), "")
            return pages.page(template, status, typed=values, errors=errors, first=first, event=event)

        @routes.get(path)
        async def show() -> HTMLResponse:
            return page(dict.fromkeys(fields, ""), {}, new_event())

        @routes.post(path)
        async def send(request: Request) -> HTMLResponse:
            sent = await typed(request)
            values = {name: sent.get(name, "") for name in fields}
            # The id travels in the form, so that a second click, or a reload of the answer, is the same signup and not another.
            event = sent.get("event", "")
            event = event if _EVENT.fullmatch(event) else new_event()
            await limits.check(request, values["email"])
            if errors := faults(values, required):
                return page(values, errors, event, 422)
            try:
                return await carry(values, event)
            except (BadInput, NotFound, Refused) as error:
                field = error.field if isinstance(error, BadInput) and error.field in fields else "form"
                return page(values, {field: f"{sentence(error.detail)} {sentence(error.do)}"}, event, error.status)

    async def sign_up(values: dict[str, str], event: str) -> HTMLResponse:
        answer = await take(tenure, limits, SignupForm(**values, event_id=event))
        host_url = tenure.settings.instance(answer.host) if answer.host else ""
        return pages.page("result.html", answer=answer, email=values["email"], host_url=host_url)

    async def join(values: dict[str, str], event: str) -> HTMLResponse:
        return pages.said("join", done=await tenure.join(JoinForm(**values, event_id=event)))

    add("/", "signup.html", tuple(FIELDS), tuple(FIELDS), sign_up)
    add("/join", "join.html", ("email", "first_name", "last_name"), ("email",), join)
