"""Every decision of a trial, as a function of (policy, facts, now), each with its evidence (idea 1); and why a message cannot be taken."""

from datetime import datetime, timedelta
from enum import StrEnum

from domain.decision import Conclusion, Fact, Flag, known, replayable
from domain.effects.registry import Claimed, ClaimOutcome
from domain.messages import Case, CeRequest, Origin, Signup, Usage
from domain.policy import Policy
from domain.task import Answer
from domain.trial.qualification import CE_REQUEST_CHECKS
from domain.wording import Wording, behind

TEXTS = Wording(__file__)


#: What an SDR's triage comes to (A8, A9).
Qualification = StrEnum("Qualification", "QUALIFIED DISQUALIFIED")
#: What becomes of a CE's request (A28).
Approval = StrEnum("Approval", "APPROVED DENIED")
#: How a trial goes on (A13 to A17): by the policy, by a person, or ``TAKE_BACK`` by what the Cloud team declines.
Course = StrEnum("Course", {"EXTEND": "extend", "CONVERT": "convert", "TERMINATE": "terminate", "ASK": "ask", "TAKE_BACK": "take back"})
#: What is put right (C17).
Correction = StrEnum("Correction", "CORRECTED")


@replayable("route", "A3")
def route(policy: Policy, signup: Signup, domain: str) -> Conclusion[Case]:
    """Which case a signup is (A3): 1, 2.1, 2.2, 3, or free_mail. Whether an instance is left is :func:`claim`'s to say."""
    account, at = signup.account, signup.at
    named, prequalified = bool(account and account.named), bool(account and account.prequalified)
    facts = (
        *known("signup form", at, {"domain": domain.rpartition("@")[2]}),
        *known("registry", at, {"instance": signup.instance.host if signup.instance else None}),
        *known("Salesforce", signup.account_as_of or at, {"named account": named, "prequalified": prequalified}),
    )
    if "@" in domain:
        case = Case.FREE_MAIL
    elif signup.instance:
        case = Case.HAS_INSTANCE
    elif named:
        case = Case.NAMED
    else:
        case = Case.PREQUALIFIED if prequalified else Case.NOT_PREQUALIFIED
    flags = (Flag.NAMED_NOT_PREQUALIFIED,) if case is Case.NAMED and not prequalified else ()
    errors = "".join(f" Data error: {flag}" for flag in flags)
    return TEXTS.conclude(case, f"route.{case.name.lower()}", facts, flags=flags, at=at, errors=errors)


@replayable("claim", "A25")
def claim(policy: Policy, claimed: Claimed, now: datetime) -> Conclusion[ClaimOutcome]:
    """What the registry's answer means (A5, A25, A26)."""
    facts = known("registry", now, {"instances in use": claimed.live, "warm instances left": claimed.warm})
    return TEXTS.conclude(claimed.outcome, f"claim.{claimed.outcome}", facts, host=claimed.host, cap=policy.cloud.instance_cap)


@replayable("qualification", "A9")
def qualify(policy: Policy, answer: Answer, now: datetime) -> Conclusion[Qualification]:
    """Whether a lead qualifies (A8, A9): the SDR's word, held against the named criteria."""
    criteria, allowed = policy.qualification.criteria, policy.qualification.failed_checks_allowed
    failed = [name for name in criteria if not answer.checks.get(name, False)]
    facts = known("SDR", now, {name: answer.checks.get(name) for name in criteria})
    if answer.choice != "qualify":
        return TEXTS.conclude(Qualification.DISQUALIFIED, "qualify.by_the_sdr", facts, by=answer.by, note=behind(answer.note))
    if len(failed) > allowed:
        enough = " and ".join(failed[: len(failed) - allowed])
        return TEXTS.conclude(Qualification.DISQUALIFIED, "qualify.failed", facts, by=answer.by, failed=", ".join(failed), enough=enough)
    left = allowed - len(failed) + 1
    more = "one more failed criterion" if left == 1 else f"{left} more failed criteria"
    if not failed:
        return TEXTS.conclude(Qualification.QUALIFIED, "qualify.all_hold", facts, by=answer.by, more=more)
    return TEXTS.conclude(
        Qualification.QUALIFIED, "qualify.some_failed", facts, by=answer.by, failed=len(failed), allowed=allowed, more=more
    )


@replayable("approval", "A28")
def approve(policy: Policy, request: CeRequest, answer: Answer, now: datetime) -> Conclusion[Approval]:
    """Whether a CE's request is approved (A28): the manager's three checks, all of them."""
    checks = {check.name: answer.checks.get(check.name) for check in CE_REQUEST_CHECKS}
    failed = [name for name, holds in checks.items() if not holds]
    facts = (*known("CE manager", now, checks), *known("CE", request.at, {"size": request.size}))
    if answer.choice == "approve" and not failed:
        return TEXTS.conclude(Approval.APPROVED, "approve.approved", facts, by=answer.by)
    nearest = f"a yes to {' and '.join(failed)}" if failed else "the manager's choice"
    if answer.choice == "approve":
        return TEXTS.conclude(Approval.DENIED, "approve.failed", facts, by=answer.by, failed=", ".join(failed), otherwise=nearest)
    return TEXTS.conclude(Approval.DENIED, "approve.denied", facts, by=answer.by, note=behind(answer.note), otherwise=nearest)


def activity(policy: Policy, usage: Usage) -> tuple[bool, str]:
    """Whether an instance is active by the policy's rule (handbook 2.4), and which facts say so.

    Only what the rule counts is named: a code host that does not count must not read as one that is not there.
    """
    days = policy.trial.activity_window_days
    event = usage.last_active_at is not None and usage.last_active_at >= usage.as_of - timedelta(days=days)
    signs: list[tuple[bool, str, str]] = []
    if policy.trial.activity_rule != "any_user_event":
        signs += [
            (usage.code_hosts > 0, "a code host is connected", "no code host"),
            (usage.joiners > 0, "another user joined", "no other user"),
        ]
    if policy.trial.activity_rule != "setup_or_joiner":
        signs.append((event, f"a user was active in the last {days} days", f"no user event in the last {days} days"))
    seen = [word for holds, word, _ in signs if holds]
    return bool(seen), " and ".join(seen) if seen else ", ".join(word for _, _, word in signs)


def activated(policy: Policy, usage: Usage) -> bool:
    """Activated, a permanent flag: a code host and enough searches and result views (handbook 2.2)."""
    needs = policy.activation
    return usage.code_hosts > 0 and usage.searches >= needs.searches and usage.result_views >= needs.result_views


def usage_facts(usage: Usage | None, now: datetime) -> tuple[Fact, ...]:
    """An instance's facts, for a decision; none when the instance did not answer."""
    if usage is None:
        return known("instance (no answer)", now, {"usage": None})
    said = {"code hosts": usage.code_hosts, "users besides the admin": usage.joiners, "last user event": usage.last_active_at}
    return known("instance", usage.as_of, said)


@replayable("day-15", "A13, C02")
def mid_trial(policy: Policy, usage: Usage | None, now: datetime, *, owned: bool = True) -> Conclusion[Course]:
    """Day 15 of a self-serve trial (A13, C02): extend when active, terminate when not, ask when nobody may act or nothing is known.

    ``owned``: it has an AE and a CE; without them it is not ended by itself (gap 16).
    """
    facts = usage_facts(usage, now)
    if usage is None:
        return TEXTS.conclude(Course.ASK, "mid_trial.unknown", facts)
    active, why = activity(policy, usage)
    if policy.trial.d15.mode == "ask":
        return TEXTS.conclude(Course.ASK, "mid_trial.asks", facts, proposal=Course.EXTEND if active else Course.TERMINATE, why=why)
    if active:
        return TEXTS.conclude(Course.EXTEND, "mid_trial.active", facts, why=why)
    if not owned:
        return TEXTS.conclude(Course.ASK, "unowned", facts, why=why)
    return TEXTS.conclude(Course.TERMINATE, "mid_trial.inactive", facts, why=why, sign=TEXTS(f"one_sign.{policy.trial.activity_rule}"))


@replayable("after the grace", "A14, C12")
def after_grace(policy: Policy, usage: Usage | None, now: datetime, *, owned: bool = True) -> Conclusion[Course]:
    """The grace after a deadline that nobody decided has ended (A14, C12). An active trial is never ended without a person's yes,
    nor one that is not ``owned`` (gap 16).
    """
    facts = usage_facts(usage, now)
    if usage is None:
        return TEXTS.conclude(Course.ASK, "after_grace.unknown", facts)
    active, why = activity(policy, usage)
    if active:
        return TEXTS.conclude(Course.ASK, "after_grace.active", facts, why=why)
    if policy.trial.deadline.inactive_after_grace == "ask":
        return TEXTS.conclude(Course.ASK, "after_grace.asks", facts, why=why)
    if not owned:
        return TEXTS.conclude(Course.ASK, "unowned", facts, why=why)
    return TEXTS.conclude(Course.TERMINATE, "after_grace.inactive", facts, why=why, sign=TEXTS(f"one_sign.{policy.trial.activity_rule}"))


@replayable("decision", "A16")
def by_person(policy: Policy, outcome: Course, by: str, why: str, now: datetime, usage: Usage | None = None) -> Conclusion[Course]:
    """A person's decision, with what was known when they took it."""
    kind = outcome if outcome in (Course.EXTEND, Course.CONVERT) else "other"
    facts = usage_facts(usage, now) if usage else ()
    return TEXTS.conclude(outcome, f"by_person.{kind}", facts, by=by, who=by or "Somebody", why=behind(why))


@replayable("admin", "C17")
def corrected(policy: Policy, by: str, now: datetime) -> Conclusion[Correction]:
    """The initial admin has another address than was typed."""
    return TEXTS.conclude(Correction.CORRECTED, "corrected", by=by, who=by or "Somebody")


def extension_days(policy: Policy, origin: Origin, asked: int | None) -> int:
    """How many days an extension adds: what was asked for, else the length for the trial's origin (C03)."""
    return asked or (policy.trial.self_serve if origin == "self_serve" else policy.trial.ce_requested).extension_days


def needs_own_key(policy: Policy, total_days: int) -> bool:
    """Whether an extended trial outlives what its key covers: the generic key covers 30 days in all (A15)."""
    return total_days > policy.trial.key_covers_days


def mail_may_go(policy: Policy, template: str, usage: Usage | None) -> bool:
    """The e-mail rules of engagement (A12): help at any time, check-ins only after usage was seen."""
    return template not in {"usage_check", "next_steps"} or (usage is not None and activity(policy, usage)[0])
