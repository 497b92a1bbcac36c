"""What the links in our mails open: a secret for one reader (``/s/…``, C17), the end of the onboarding mails (``/u/…``, A11) and the
feedback form of a lost trial (``/feedback/…``, A18).

Mail scanners follow every link, so looking changes nothing: what a link is for happens at the press of a button.
"""

import asyncio
import logging
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError

from domain import ids, mailbox
from domain.trial.commands import NewLink, OptOut
from starter.errors import NotFound, TenureError, Unavailable
from starter.service.authorization import LINK
from starter.service.temporal_errors import Closing, Over
from starter.service.tenure import Tenure
from starter.web.limiting import Limits
from starter.web.render import Pages, moment, typed
from starter.web.texts import REASONS
from store.access import BadToken, verify
from store.database import put
from store.ledger import Ledger
from store.registry import Registry
from store.tables import feedback
from store.vault import Share, Vault, VaultError

log = logging.getLogger(__name__)

UNSUBSCRIBE = "unsubscribe"
FEEDBACK = "feedback"
LONGEST_FEEDBACK = 2_000
#: Seconds after which an answer has surely been sent, so that what is done then does not show in how long it took.
ANSWERED_SECONDS = 0.5


def masked(email: str) -> str:
    """An address that its owner knows and nobody else learns: ``d…@acme.com``."""
    local, _, host = email.rpartition("@")
    return f"{local[:1]}…@{host}"


def add_to(routes: APIRouter, tenure: Tenure, pages: Pages, limits: Limits) -> None:
    """Add the routes, for :func:`starter.web.app.create_app`."""
    key = tenure.settings.key()
    by_link = tenure.called_by(LINK)  # who holds a link may do what it is for
    secrets = Vault(tenure.ledger, key)
    registry = Registry(tenure.ledger)

    # --- A secret for one reader --------------------------------------------------------------------------------------------

    def gone(token: str, link: Share | None) -> HTMLResponse:
        who, opened = (masked(link.to_email), link.opened_at is not None) if link else ("", False)
        return pages.page("link_gone.html", 410 if link else 404, token=token, who=who, opened=opened)

    @routes.get("/s/{token}")
    async def show_secret(token: str) -> HTMLResponse:
        link = await asyncio.to_thread(secrets.look, token)
        if link is None or not link.works:
            return gone(token, link)
        page = "secret_password" if link.kind == "reset_link" else "secret_key"
        return pages.said(page, until=moment(link.expires_at), who=masked(link.to_email))

    @routes.post("/s/{token}")
    async def open_secret(token: str) -> Response:
        """Once: of two presses of the button one opens it, and what could not be had leaves the link as it was."""
        try:
            link = await asyncio.to_thread(secrets.open, token)
        except VaultError as error:
            log.warning("a share link did not open: %s", error)
            return gone(token, await asyncio.to_thread(secrets.look, token))
        try:
            if link.kind != "reset_link":
                value = await asyncio.to_thread(secrets.get, link.ref)
                return pages.said("key_shown", value=value)
            ref = await by_link.open_link(link.ref, link.to_email)
            return RedirectResponse(await asyncio.to_thread(secrets.take, ref), 303)
        except Exception as error:
            await asyncio.to_thread(secrets.close, token)
            log.warning("nothing came of opening a link to %s: %s", link.ref, error)
            if isinstance(error, NotFound | Over | Closing):
                raise NotFound("the trial is over, and this link with it", f"Sign in as you did, or write to {pages.support}") from error
            if isinstance(error, VaultError):
                raise Unavailable("the link could not be made just now", "Open it again in a moment") from error
            raise

    @routes.post("/s/{token}/new")
    async def new_link(request: Request, token: str) -> HTMLResponse:
        link = await asyncio.to_thread(secrets.look, token)
        if link:
            await limits.mailbox(link.to_email)
            # One dead link buys one new one, however often the button is pressed: the same event is the same request.
            event = f"new-link-{ids.digest(token)}"
            await by_link.act_on(link.ref, "new_link", NewLink(by=link.to_email, to=link.to_email), event)
            return pages.said("new_link", who=masked(link.to_email))
        email = (await typed(request)).get("email", "")
        await limits.mailbox(email)
        # The same words whether or not the address is an administrator's, and as soon: who is one is looked up once the answer is out.
        tenure.later(of_admin(email))
        return pages.said("new_link_maybe")

    async def of_admin(email: str) -> None:
        """Ask for a new link when ``email`` is the administrator's of an instance; at most one an hour, so that nobody's mailbox is filled."""
        await asyncio.sleep(ANSWERED_SECONDS)
        try:
            instance = await asyncio.to_thread(registry.instance_of, tenure.key_of(email))
            if instance is not None and "@" in email and mailbox.same(instance.admin, email):
                event = f"new-link-{ids.digest(email)}-{datetime.now(UTC):%Y%m%d%H}"
                await by_link.act(email, "new_link", NewLink(by=instance.admin, to=instance.admin), event)
        except (TenureError, SQLAlchemyError) as error:
            log.info("no new link was made: %s", error)

    # --- The end of the onboarding mails ------------------------------------------------------------------------------------

    def workflow_of(purpose: str, token: str) -> str:
        try:
            return verify(key, purpose, token)
        except BadToken as error:
            raise NotFound(str(error), f"Or write to {pages.support}") from None

    @routes.get("/u/{token}")
    async def show_opt_out(token: str) -> HTMLResponse:
        workflow_of(UNSUBSCRIBE, token)
        return pages.said("opt_out")

    @routes.post("/u/{token}")
    async def opt_out(token: str) -> HTMLResponse:
        """Also what a mail program posts by itself for its own unsubscribe button (RFC 8058)."""
        workflow = workflow_of(UNSUBSCRIBE, token)
        try:
            await by_link.act_on(workflow, "opt_out", OptOut(by="prospect"), "opt-out")
        except (NotFound, Over, Closing) as error:
            log.info("%s needs no opt-out: %s", workflow, error)
            return pages.said("opt_out_over")
        return pages.said("opt_out_done")

    # --- Feedback -----------------------------------------------------------------------------------------------------------

    def feedback_form(values: dict[str, str], error: str, status: int) -> HTMLResponse:
        return pages.page("feedback.html", status, typed=values, error=error, reasons=REASONS, limit=LONGEST_FEEDBACK)

    @routes.get("/feedback/{token}")
    async def show_feedback(token: str) -> HTMLResponse:
        workflow_of(FEEDBACK, token)
        return feedback_form({"reason": "other", "text": ""}, "", 200)

    @routes.post("/feedback/{token}")
    async def take_feedback(request: Request, token: str) -> HTMLResponse:
        workflow = workflow_of(FEEDBACK, token)
        sent = await typed(request, lines=True)
        reason, text = sent.get("reason", ""), sent.get("text", "")
        values = {"reason": reason if reason in REASONS else "other", "text": text}
        if len(text) > LONGEST_FEEDBACK:
            return feedback_form(values, f"Please shorten it to {LONGEST_FEEDBACK:,} characters; it has {len(text):,}.", 422)
        if not text and values["reason"] == "other":
            return feedback_form(values, "Please say a word about it, or choose a reason.", 422)
        await asyncio.to_thread(keep_feedback, tenure.ledger, workflow, values)
        return pages.said("feedback")


def keep_feedback(ledger: Ledger, workflow: str, values: dict[str, str]) -> None:
    """Keep the answer; one a trial, the last one counts."""
    row = {"subject": workflow, "domain": workflow.removeprefix("trial-"), "data": values, "at": datetime.now(UTC)}
    with ledger.writing() as db:
        put(db, feedback, {"id": ids.digest(f"feedback {workflow}"), **row})
