"""The register's second part: the CRM, what belongs to a customer after the sale, and the ledger's own tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.effects.kind import EffectKind, claim, marked, of, subject
from activities.salesforce.account_effects import CustomerRecords
from activities.salesforce.effects import Salesforce
from activities.sheets import Sheets
from activities.vitally.effects import Vitally
from domain.effects.accounts import CloseProject, KeepDoc, KeepRenewal, KeepRow, OpenProject, SetAccount, SetTraits
from domain.effects.models import AssignOwner, ConvertLead, KeepLead, SetLeadStatus, UpdateOpportunity
from domain.effects.reconcile import Claim
from store import owners
from store.instance_pool import Pool
from store.ledger import EffectRow
from store.registry import Registry

_PREFIXES = {"00Q": "lead", "006": "opportunity"}


def _owned(row: EffectRow) -> tuple[Claim, ...]:
    """The lead, or the opportunity once it was converted: Salesforce's ids say which."""
    ref = row.receipt.ref if row.receipt is not None else ""
    kind = _PREFIXES.get(ref[:3])
    return (claim(row, kind, ref),) if kind else ()


def _row(row: EffectRow) -> tuple[Claim, ...]:
    ref = row.receipt.ref if row.receipt is not None else ""
    return (claim(row, "row", ref, mark=ref),)


def _doc(row: EffectRow) -> tuple[Claim, ...]:
    """None for a document that somebody had deleted already."""
    assert row.receipt is not None
    return () if row.receipt.data.get("note") else of("document")(row)


_CRM_TOLD = "The record is there. People and later acts change its fields, so they are not compared."

_SALESFORCE = (
    EffectKind(
        system="salesforce",
        act="lead.kept",
        asked_by=KeepLead,
        probe="Asks for the lead by our external id and the address. A campaign member is refused when it is one already.",
        code=Salesforce._kept,
        means="Upsert by the external id `Tenure_Key__c`, the subject.",
        window="Somebody deletes or merges the lead before the next try: it is made again.",
        told="The lead is there with its `Tenure_Key__c`.",
        claims=of("lead", subject),
        marks=marked("lead", subject),
        kinds=("lead",),
    ),
    EffectKind(
        system="salesforce",
        act="lead.status_set",
        asked_by=SetLeadStatus,
        probe="Reads the lead; writes only the fields that do not show their value.",
        code=Salesforce._set_status,
        means="The values themselves.",
        window="Somebody changes the status before the next try: ours is written over it.",
        told=_CRM_TOLD,
        claims=of("lead"),
    ),
    EffectKind(
        system="salesforce",
        act="owner.assigned",
        asked_by=AssignOwner,
        probe="Reads lead or opportunity; writes only what does not show its value.",
        code=Salesforce._assign,
        means="The values themselves.",
        window="Somebody gives it to another owner before the next try: ours is written over it.",
        told=_CRM_TOLD,
        claims=_owned,
    ),
    EffectKind(
        system="salesforce",
        act="lead.converted",
        asked_by=ConvertLead,
        probe="Reads the lead's `IsConverted` and what it became; a lead is converted once.",
        code=Salesforce._convert,
        means="The lead's own state; `Tenure_Key__c` on the opportunity.",
        window="None.",
        told="The opportunity is there with its `Tenure_Key__c`.",
        claims=of("opportunity", subject),
        marks=marked("opportunity", subject),
        kinds=("opportunity",),
    ),
    EffectKind(
        system="salesforce",
        act="opportunity.updated",
        asked_by=UpdateOpportunity,
        probe="Reads the opportunity by `Tenure_Key__c`; writes only what does not show its value.",
        code=Salesforce._update,
        means="The values themselves.",
        window="Somebody changes a field before the next try: ours is written over it.",
        told=_CRM_TOLD,
        claims=of("opportunity"),
    ),
    EffectKind(
        system="salesforce",
        act="account.set",
        asked_by=SetAccount,
        probe="Reads the account; writes only what does not show its value.",
        code=CustomerRecords._set_account,
        means="The values themselves.",
        window="Somebody changes a field before the next try: ours is written over it.",
        told=_CRM_TOLD,
        claims=of("account"),
    ),
    EffectKind(
        system="salesforce",
        act="renewal.kept",
        asked_by=KeepRenewal,
        probe="Asks for the opportunity by `Tenure_Key__c`, then for the account's open renewal.",
        code=CustomerRecords._keep_renewal,
        means="Upsert by the external id `Tenure_Key__c`, the subject.",
        window="Somebody deletes the opportunity before the next try: it is made again.",
        told="The opportunity is there with its `Tenure_Key__c`.",
        claims=of("opportunity", subject),
        marks=marked("opportunity", subject),
        kinds=("opportunity",),
    ),
)

_VITALLY = (
    EffectKind(
        system="vitally",
        act="traits.set",
        asked_by=SetTraits,
        probe="None is needed: setting the same traits again changes nothing.",
        code=Vitally._set_traits,
        means="The account's external id, its domain: making one that is known changes that one.",
        window="Somebody changes a trait before the next try: ours is written over it.",
        told="The account is there, churned or not. Traits change with every score, so they are not compared.",
        claims=of("account"),
        kinds=(),
    ),
    EffectKind(
        system="vitally",
        act="score.written",
        asked_by=None,
        probe="None is needed: setting the same traits again changes nothing.",
        code=Vitally._write_score,
        means="The account's external id, its domain.",
        window="None: nobody but the hourly run writes scores.",
        told="The account is there, churned or not. Traits change with every score, so they are not compared.",
        claims=of("account"),
    ),
    EffectKind(
        system="vitally",
        act="doc.kept",
        asked_by=KeepDoc,
        probe="Lists the account's notes, page by page, for our external id.",
        code=Vitally._keep_doc,
        means="The note's external id, `SUBJECT/doc.NAME`: making one that is known, deleted or not, changes that one.",
        window="Somebody edits the note before the next try: ours is written over it.",
        told="The note is there. One with an external id of ours that the ledger does not know is reported.",
        claims=_doc,
        kinds=("document",),
    ),
    EffectKind(
        system="vitally",
        act="project.opened",
        asked_by=OpenProject,
        probe="Lists the account's projects, newest first, back to the first attempt, for our name as a trait; where the workspace keeps no "
        "such trait, for the project's name.",
        code=Vitally._opened,
        means="The trait `vitally.custom.tenureKey`, the effect's name.",
        window="Somebody deletes the project before the next try: it is opened again. Where the trait is not set up, a project that a person "
        "opens meanwhile under the same name is taken for ours.",
        told="The project is there.",
        claims=of("project"),
        marks=marked("project", str),
        kinds=("project",),
    ),
    EffectKind(
        system="vitally",
        act="project.completed",
        asked_by=CloseProject,
        probe="None is needed: completing what is completed changes nothing.",
        code=Vitally._close,
        means="The project's id, by the ledger.",
        window="Somebody reopens the project before the next try: it is completed again.",
        told="The project is there, and completed.",
        claims=of("project", completed="yes"),
    ),
)

_SHEETS = (
    EffectKind(
        system="sheets",
        act="row.kept",
        asked_by=KeepRow,
        probe="Reads the whole table for the row's key, wherever people moved it; writes only when a cell does not show its value.",
        code=Sheets._keep,
        means="The `Key` column, compared without blanks and case; a new row is written at a computed place, never appended; all workers take turns.",
        window="Somebody deletes the row before the next try: it is written again. Somebody moves rows between our reading and our writing: "
        "the cells go to another row, which the answer shows and the log says.",
        told="One row has the key. Its cells are people's too, so they are not compared.",
        claims=_row,
        kinds=("row",),
    ),
)


def _own(act: str, code: Callable[..., Any]) -> EffectKind:
    """A change of our own tables."""
    return EffectKind(
        system="registry",
        act=act,
        asked_by=None,
        probe="None is needed: the change and its record are one transaction.",
        code=code,
        means="The ledger's own database.",
        window="None.",
        told="not told: it is the ledger's own database, and the record is part of the change",
    )


_REGISTRY = (
    _own("instance.claimed", Registry._claim),
    _own("instance.reserved", Registry._claim),
    _own("owners.assigned", owners.chosen),
    *(
        _own(act, Registry.registry)
        for act in (
            "instance.released",
            "instance.converted",
            "instance.ready",
            "instance.rehosted",
            "instance.admin_corrected",
            "domain.queued",
            "domain.left_queue",
            "mail.stopped",
            "claim.confirmed",
            "claim.passed_on",
        )
    ),
    *(_own(f"pool.{change}", Pool.pool_change) for change in ("expected", "ready", "lost")),
)

OF_ACCOUNTS: tuple[EffectKind, ...] = (*_SALESFORCE, *_VITALLY, *_SHEETS, *_REGISTRY)
