"""When a task is due by the office calendar, and who is asked when nobody answers: owner, then backup, then manager (gap 6)."""

from datetime import datetime, timedelta

from domain.calendar import add_office_hours, add_working_days, is_open
from domain.people import Owners, Role
from domain.policy import AnyPolicy, Policy
from domain.task import Escalation


def due_in(policy: AnyPolicy, now: datetime, office_hours: float) -> datetime:
    """The due time of a task that may take so many office hours."""
    return add_office_hours(policy.office, now, office_hours)


def provisioning_due(policy: Policy, now: datetime, ce_requested: bool) -> datetime:
    """The provisioning SLA: an hour inside office hours, else a working day; a CE-requested trial a working day (handbook 2.1).

    What is left of the hour at the closing is due after the next opening: nobody is paged at night for an office-hour promise.
    """
    sla = policy.provisioning
    if ce_requested:
        return add_working_days(policy.office, now, sla.ce_requested_working_days)
    if is_open(policy.office, now):
        return add_office_hours(policy.office, now, sla.office_hours)
    return add_working_days(policy.office, now, sla.otherwise_working_days)


def ordinary(policy: AnyPolicy, due_at: datetime, owner: str, backup: str, manager: str) -> tuple[Escalation, ...]:
    """The ladder of an ordinary task: a reminder when due, then the backup, then the manager, each after office hours of the policy."""
    office, tasks = policy.office, policy.tasks
    return (
        Escalation(at=due_at, asks="owner", who=owner),
        Escalation(at=add_office_hours(office, due_at, tasks.backup_after_hours), asks="backup", who=backup or owner),
        Escalation(at=add_office_hours(office, due_at, tasks.manager_after_hours), asks="manager", who=manager or backup or owner),
    )


def deadline(policy: Policy, ends_at: datetime, owners: Owners) -> tuple[Escalation, ...]:
    """The ladder of a deadline's decision (C12): the AE as backup at the due date, the CE manager some days later.

    Where nobody looks after the trial it is sales ops who are asked, and the leader of sales.
    """
    ce, ae, manager = owners.email(Role.CE), owners.email(Role.AE), owners.email(Role.CE_MANAGER)
    ops, leader = owners.email(Role.SALES_OPS), owners.email(Role.SALES_LEADERSHIP)
    return (
        Escalation(at=ends_at, asks="backup", who=ae or ce or ops),
        Escalation(
            at=ends_at + timedelta(days=policy.trial.deadline.manager_after_days), asks="manager", who=manager or ae or ce or leader or ops
        ),
    )
