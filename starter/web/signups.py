"""A signup is taken, or it is kept and whoever signed up is told so (A21): by the form and by the API alike."""

from __future__ import annotations

import logging

from domain.messages import SignupAnswer
from starter.errors import BadInput, NotFound, Refused, TenureError, Unavailable
from starter.service.forms import SignupForm
from starter.service.tenure import Tenure
from starter.web.limiting import Limits
from starter.web.problem_details import Kept, TooMany
from store import metrics

log = logging.getLogger(__name__)

#: Seconds after which a program may ask again, where nothing says better.
AGAIN = 60


async def take(tenure: Tenure, limits: Limits, form: SignupForm) -> SignupAnswer:
    """Sign up. Raises :class:`Kept` when that cannot be done now; :class:`BadInput`, :class:`NotFound` and :class:`Refused` are answers, and nothing is kept.

    What could be neither taken nor kept is :class:`Unavailable`, and says whom to write to.
    """
    tenure.outsider(form.email)  # a wrong address is said at once: nobody could write to it later
    try:
        await limits.together()
        answer = await tenure.signup(form)
    except (BadInput, NotFound, Refused):
        metrics.count("tenure_signups", outcome="refused")
        raise
    except Exception as error:
        kept = await _kept(tenure, form, error)
        metrics.count("tenure_signups", outcome="lost" if isinstance(kept, Lost) else "kept")
        raise kept from error
    metrics.count("tenure_signups", outcome=answer.outcome)
    return answer


async def _kept(tenure: Tenure, form: SignupForm, error: Exception) -> TenureError:
    if isinstance(error, TenureError):
        log.warning("signup %s: %s", form.event_id, error)
    else:
        log.error("signup %s", form.event_id, exc_info=error)
    status = error.status if isinstance(error, TenureError) else 500
    told = isinstance(error, Unavailable | TooMany)
    why = str(error) if told else f"{type(error).__name__}; event {form.event_id}"
    try:
        reference = await tenure.failed_signup(form, why)
    except Exception:
        log.exception("signup %s could not be kept", form.event_id)
        return Lost(
            "something on our side does not answer, and we could not even write your signup down",
            f"Please write to {tenure.settings.support_email}, or try again later; support finds it by {form.event_id}",
        )
    hours = tenure.policy.tasks.rescue_hours
    return Kept(
        "more people sign up at this moment than we take. What you typed is not lost"
        if isinstance(error, TooMany)
        else "something on our side does not answer. What you typed is not lost",
        f"Support has your signup and writes to {form.email} within {hours} office hours; you need not send it again",
        reference=reference,
        retry_after=error.retry_after if isinstance(error, TooMany) else AGAIN,
        http_status=status,
    )


class Lost(Unavailable):
    """Neither taken nor kept."""

    title = "Your signup did not go through"
