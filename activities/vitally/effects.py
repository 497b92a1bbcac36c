"""Vitally: a customer's traits, documents and projects (D9–D17, D26, D27), and the hourly health scores.

An account's external id is its registrable domain. A document is a note that carries our name as its external id, so that it is found
and brought up to date. A project comes from a template and has no external id: it carries our name as a trait, and where the workspace
does not keep that trait, the one of its name that was made since the attempt began is it. The workspace's administrator sets up the
templates and the two project traits (``MARK``, ``ENDED``).
"""

import html
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from sqlalchemy import select
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.asking import Ask, Scope, since
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import refused
from activities.http import Json
from activities.vitally.client import SYSTEM, VitallyApi, translated
from domain.effects.effect import Receipt
from domain.effects.reconcile import Thing
from domain.effects.vitally import CloseProject, KeepDoc, OpenProject, ScoresWritten, ScoreWrite, ScoreWrites, SetTraits
from store.effect_kinds import data, declares, of, ref_of
from store.ledger import EffectId, EffectRow, Ledger
from store.settings import Settings
from store.tables import customers

MARK = "vitally.custom.tenureKey"
ENDED = "vitally.custom.tenureEnded"
_OURS = re.compile(r".+/\w{1,8}\.\d+/doc\..+")


def _kept(row: EffectRow) -> str:
    """The document; none that somebody had deleted already."""
    return "" if data(row, "note") else ref_of(row)


class Vitally(OutsideSystem, name="vitally", title="Vitally"):
    """One workspace. Receipts: the id of the account, note or project."""

    _client: VitallyApi
    error = staticmethod(translated)

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        self._client = VitallyApi(settings.vitally_url, settings.vitally_key.get_secret_value())
        self._completed = settings.vitally_completed_status
        self._templates: dict[str, str] = {}

    def write_scores(self, writes: ScoreWrites) -> ScoresWritten:
        """Write the health scores of some hundred accounts. An account that Vitally refuses is named, and does not stop the others.

        Safe to repeat: each is once in the ledger (``score.<domain>``), so a repetition does only what is left. It heartbeats at every
        account, and waits up to a minute at a time while the rate limit is nearly used up.
        """
        written, no = 0, {}
        for score in writes.scores:
            self._client.pace()
            if activity.in_activity():
                activity.heartbeat(written)
            try:
                self._write_score(writes, score)
            except ApplicationError as error:
                if not error.non_retryable:
                    raise
                no[score.domain] = error.message
            else:
                written += 1
        return ScoresWritten(written=written, refused=no)

    def accounts(self) -> Iterator[Json]:
        """Every account, churned ones too, as the API gives it; for an activity of the hourly run, which it keeps within the rate limit.

        Raises what ``httpx`` raises and the errors of ``activities/errors.py``, both in Temporal's terms.
        """
        with self.looking():
            yield from self._client.pages("accounts", paced=True, status="activeOrChurned")

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing]:
        """The accounts, documents and projects; of the whole workspace page by page, as its rate allows, else each by its id.

        What was deleted is not listed. A note of another integration carries another name than ours and is left out.
        """
        for account in self._listed(ask, scope, "accounts", "account"):
            yield Thing(kind="account", ref=str(account["id"]), where=f"account {account['externalId']}")
        documents = scope.refs("document")
        for note in self._listed(ask, scope, "notes", "document"):
            name = str(note.get("externalId") or "")
            if _OURS.fullmatch(name) or str(note["id"]) in documents:
                yield Thing(kind="document", ref=str(note["id"]), mark=name, where=f"note {note.get('subject') or name}")
        projects = scope.refs("project")
        for project in self._listed(ask, scope, "projects", "project"):
            if (left := str((project.get("traits") or {}).get(MARK) or "")) or str(project["id"]) in projects:
                state = {"completed": "yes" if project.get("projectStatusId") == self._completed else "no"}
                yield Thing(kind="project", ref=str(project["id"]), mark=left, state=state, where=f"project {project['name']}")

    def _listed(self, ask: Ask, scope: Scope, path: str, kind: str) -> Iterator[Json]:
        if scope.whole:
            query = {"status": "activeOrChurned"} if path == "accounts" else {}
            yield from self._client.pages(path, paced=True, ask=ask, **query)
            return
        for ref in sorted(scope.refs(kind)):
            found = ask(partial(self._client.find, path, ref))
            if found is not None and not found.get("archivedAt"):
                yield found

    @declares(
        "vitally",
        "score.written",
        probe="None is needed: setting the same traits again changes nothing.",
        means="The account's external id, its domain.",
        window="None: nobody but the hourly run writes scores.",
        told="The account is there, churned or not. Traits change with every score, so they are not compared.",
        claims=of("account"),
    )
    def _write_score(self, writes: ScoreWrites, score: ScoreWrite) -> None:
        name, summary = EffectId(writes.subject, f"score.{score.domain}"), f"health score of {score.domain}"
        write = partial(self._merge_traits, score.domain, score.traits, score.name)
        self.once(name, lambda: Receipt(ref=write()), act="score.written", summary=summary, as_of=writes.as_of)

    @carries_out(SetTraits, act="traits.set", claims=of("account"))
    def _set_traits(self, effect: SetTraits, _effect_id: EffectId) -> Receipt:
        return Receipt(ref=self._merge_traits(effect.account, effect.traits))

    def _merge_traits(self, account: str, traits: Json, name: str = "") -> str:
        """Merge traits into the account's, which is made when Vitally has none; returns its id."""
        found = self._client.put("accounts", account, body={"traits": traits})
        return str(found["id"]) if found is not None else self._make_account(account, name, traits)

    def _account(self, account: str, effect_id: EffectId) -> str:
        """Vitally's own id of an account, which a note and a project need. One that is made for them is on record, whatever becomes of them."""
        if (found := self._client.find("accounts", account)) is not None:
            return str(found["id"])
        made = self._make_account(account, "", {})
        self._ledger.part(effect_id, Receipt(data={"account": made}))
        return made

    def _make_account(self, account: str, name: str, traits: Json) -> str:
        """Making one whose external id is known changes that one, so two attempts at once make one account."""
        given = {title: value for title, value in traits.items() if value is not None}
        body = {"externalId": account, "name": name or self._name(account) or account, "traits": given}
        return str(self._client.post("accounts", body)["id"])

    def _name(self, account: str) -> str:
        """The customer's name, by the copy of the CRM; empty when it has none."""
        with self._ledger.reading() as db:
            return db.execute(select(customers.c.name).where(customers.c.domain == account)).scalar() or ""

    @carries_out(KeepDoc, act="doc.kept", claims=of("document", ref=_kept), makes="document")
    def _keep_doc(self, effect: KeepDoc, effect_id: EffectId) -> Receipt:
        """Only what the API may change is sent of a note that is there: a person may have given it tags and an author."""
        account, ours = self._account(effect.account, effect_id), f"{effect_id.subject}/doc.{effect.doc}"
        shown = {"subject": effect.title, "note": "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in effect.lines)}
        found = next((note for note in self._client.pages("accounts", account, "notes") if note.get("externalId") == ours), None)
        kept = self._client.put("notes", found["id"], body=shown) if found is not None else None
        if kept is None:
            made = {"externalId": ours, "accountId": account, "noteDate": self._ledger.as_of(effect_id).isoformat(), **shown}
            kept = self._client.post("notes", made)
        gone = {"note": "somebody deleted it in Vitally; it is kept up to date all the same"} if kept.get("archivedAt") else {}
        return Receipt(ref=str(kept["id"]), data=gone)

    def _opened(self, effect: OpenProject, effect_id: EffectId) -> Receipt | None:
        """The project of an earlier attempt, among those of the account that were made since it began."""
        earliest = since(self._ledger, effect_id)
        for project in self._client.pages("accounts", self._account(effect.account, effect_id), "projects"):
            if datetime.fromisoformat(project["createdAt"]) < earliest:
                return None
            mark = (project.get("traits") or {}).get(MARK)
            if mark == str(effect_id) or (mark is None and project["name"] == effect.name):
                return Receipt(ref=str(project["id"]))
        return None

    @carries_out(OpenProject, act="project.opened", probe=_opened, claims=of("project"), makes="project", mark=str)
    def _open(self, effect: OpenProject, effect_id: EffectId) -> Receipt:
        template, account = self._template(effect.template), self._account(effect.account, effect_id)
        body = {"templateId": template, "accountId": account, "name": effect.name, "traits": {MARK: str(effect_id)}}
        return Receipt(ref=str(self._client.post("projects", body)["id"]))

    @carries_out(CloseProject, act="project.completed", claims=of("project", completed="yes"))
    def _close(self, effect: CloseProject, effect_id: EffectId) -> Receipt:
        opened = self._ledger.receipt(EffectId(effect_id.subject, effect.project))
        if opened is None:
            return Receipt(data={"note": "no project was opened"})
        if not self._completed:
            raise refused(SYSTEM, "which status completes a project is not set; set TENURE_VITALLY_COMPLETED_STATUS to that status's id")
        shown = self._client.put("projects", opened.ref, body={"projectStatusId": self._completed, "traits": {ENDED: effect.why}})
        return Receipt(ref=opened.ref) if shown is not None else Receipt(data={"note": "there is no such project any more"})

    def _template(self, name: str) -> str:
        """The id of a template. Ids are remembered; a name that is not known is looked up again, since somebody may have made it."""
        if name not in self._templates:
            self._templates = {str(one["name"]): str(one["id"]) for one in self._client.pages("projectTemplates")}
        if name not in self._templates:
            raise refused(SYSTEM, f"there is no project template {name!r}; create it in Vitally under exactly that name", kind="NoTemplate")
        return self._templates[name]
