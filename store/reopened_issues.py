"""Whose issues those are that the Cloud team took up again: by the ledger, since a mark alone can be copied."""

from __future__ import annotations

from domain import ids
from domain.upkeep import Reopened, ReopenedIssues
from store.ledger import Ledger
from store.registry import Registry


def raised_by(ledger: Ledger, marks: dict[int, str]) -> ReopenedIssues:
    """Those of these issues that a workflow of ours raised; ``marks`` has, by the issue's number, the mark in its body."""
    issues = []
    for number, mark in marks.items():
        workflow = mark.partition("/")[0]
        raised = ledger.effects(workflow=workflow) if workflow else []
        if any(row.system == "github" and row.receipt and row.receipt.ref == str(number) for row in raised):
            owners = Registry(ledger).owners_of(ids.company_of(workflow))
            issues.append(Reopened(issue=number, workflow=workflow, ce=owners.ce, ae=owners.ae))
    return ReopenedIssues(issues=tuple(issues))
