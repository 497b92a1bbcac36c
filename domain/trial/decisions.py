"""Every decision of a trial, as a function of (policy, facts, now), each with its evidence (idea 1); and why a message cannot be taken."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum

from domain import licence_keys
from domain import plausibility as facts
from domain.calendar import months_after
from domain.decision import Conclusion, Decision, Fact, Flag, replayable
from domain.effects.registry import Claimed, ClaimOutcome
from domain.messages import Case, CeRequest, Origin, Signup, Usage
from domain.policy import Policy
from domain.task import Answer
from domain.trial.commands import Convert, Extend
from domain.trial.qualification import CE_REQUEST_CHECKS
from domain.trial.state import OPEN_TO_DECIDE, OPEN_TO_TERMINATE, Extension, Stage


class Qualification(StrEnum):
    """What an SDR's triage comes to (A8, A9)."""

    QUALIFIED = "qualified"
    DISQUALIFIED = "disqualified"


class Approval(StrEnum):
    """What becomes of a CE's request (A28)."""

    APPROVED = "approved"
    DENIED = "denied"


class Course(StrEnum):
    """How a trial goes on (A13 to A17): by the policy, by a person, or ``TAKE_BACK`` by what the Cloud team declines."""

    EXTEND = "extend"
    CONVERT = "convert"
    TERMINATE = "terminate"
    ASK = "ask"
    TAKE_BACK = "take back"


class Correction(StrEnum):
    """What is put right (C17)."""

    CORRECTED = "corrected"


@replayable("route", "A3")
def route(policy: Policy, signup: Signup, domain: str) -> Conclusion:
    """Which case a signup is (A3): 1, 2.1, 2.2, 3, or free_mail. Whether an instance is left is :func:`claim`'s to say."""
    account, at = signup.account, signup.at
    named, prequalified = bool(account and account.named), bool(account and account.prequalified)
    facts = (
        Fact(name="domain", value=domain.rpartition("@")[2], source="signup form", as_of=at),
        Fact(name="instance", value=signup.instance.host if signup.instance else None, source="registry", as_of=at),
        Fact(name="named account", value=named, source="Salesforce", as_of=signup.account_as_of or at),
        Fact(name="prequalified", value=prequalified, source="Salesforce", as_of=signup.account_as_of or at),
    )

    def routed(outcome: Case, rule: str, handbook: str, nearest: str, *flags: Flag) -> Conclusion:
        told = " ".join((rule, *(f"Data error: {flag}" for flag in flags)))
        return Conclusion(outcome, told, nearest, facts, flags=flags, handbook=handbook, at=at)

    if "@" in domain:
        return routed(Case.FREE_MAIL, "A free-mail address names no company: an SDR finds out which it is.", "A3", "a company address")
    if signup.instance:
        return routed(
            Case.HAS_INSTANCE,
            "The company has an instance: its initial admin's address is of this domain.",
            "A4",
            "no instance on the domain",
        )
    if named:
        flags = () if prequalified else (Flag.NAMED_NOT_PREQUALIFIED,)
        return routed(Case.NAMED, "Named accounts are prequalified: an instance at once.", "A5", "the account not being named", *flags)
    if prequalified:
        return routed(Case.PREQUALIFIED, "The domain is prequalified: an instance at once.", "A6", "the domain not being on the list")
    return routed(
        Case.NOT_PREQUALIFIED, "Not prequalified: an inbound SDR triages the lead.", "A7", "the domain being on the prequalified list"
    )


@replayable("claim", "A25")
def claim(policy: Policy, claimed: Claimed, now: datetime) -> Conclusion:
    """What the registry's answer means (A5, A25, A26)."""
    facts = (
        Fact(name="instances in use", value=claimed.live, source="registry", as_of=now),
        Fact(name="warm instances left", value=claimed.warm, source="registry", as_of=now),
    )
    rule, nearest, handbook = {
        ClaimOutcome.CLAIMED: (f"{claimed.host} was free and room is left.", "the cap reached", "A25"),
        ClaimOutcome.OWNED: ("The domain has an instance already.", "no instance on the domain", "A4"),
        ClaimOutcome.FULL: (
            f"The cap of {policy.cloud.instance_cap} instances is reached: the company waits.",
            "one instance released",
            "A26",
        ),
        ClaimOutcome.EMPTY: ("No warm instance is left: one is provisioned by hand.", "one warm instance", "A25"),
    }[claimed.outcome]
    return Conclusion(claimed.outcome, rule, nearest, facts, handbook=handbook)


@replayable("qualification", "A9")
def qualify(policy: Policy, answer: Answer, now: datetime) -> Conclusion:
    """Whether a lead qualifies (A8, A9): the SDR's word, held against the named criteria."""
    failed = [name for name in policy.qualification.criteria if not answer.checks.get(name, False)]
    allowed = policy.qualification.failed_checks_allowed
    qualified = answer.choice == "qualify" and len(failed) <= allowed
    if answer.choice != "qualify":
        rule = f"The SDR disqualified the lead{': ' + answer.note if answer.note else ''}."
        nearest = "the SDR's choice"
    elif qualified:
        rule = "Every criterion that must hold holds." if not failed else f"{len(failed)} failed criteria, {allowed} allowed."
        more = allowed - len(failed) + 1
        nearest = "one more failed criterion" if more == 1 else f"{more} more failed criteria"
    else:
        rule = f"The lead fails: {', '.join(failed)}."
        nearest = f"a yes to {' and '.join(failed[: len(failed) - allowed])}"
    facts = tuple(Fact(name=name, value=answer.checks.get(name), source="SDR", as_of=now) for name in policy.qualification.criteria)
    if qualified:
        return Conclusion(Qualification.QUALIFIED, rule, nearest, facts, by=answer.by)
    return Conclusion(Qualification.DISQUALIFIED, rule, nearest, facts, by=answer.by, handbook="A8")


@replayable("approval", "A28")
def approve(policy: Policy, request: CeRequest, answer: Answer, now: datetime) -> Conclusion:
    """Whether a CE's request is approved (A28): the manager's three checks, all of them."""
    failed = [check.name for check in CE_REQUEST_CHECKS if not answer.checks.get(check.name, False)]
    approved = answer.choice == "approve" and not failed
    rule = (
        "The three checks hold."
        if approved
        else f"Not approved: {', '.join(failed)}."
        if answer.choice == "approve"
        else f"The manager denied the request{': ' + answer.note if answer.note else ''}."
    )
    nearest = "one check failing" if approved else f"a yes to {' and '.join(failed)}" if failed else "the manager's choice"
    facts = (
        *(Fact(name=check.name, value=answer.checks.get(check.name), source="CE manager", as_of=now) for check in CE_REQUEST_CHECKS),
        Fact(name="size", value=request.size, source="CE", as_of=request.at),
    )
    return Conclusion(Approval.APPROVED if approved else Approval.DENIED, rule, nearest, facts, by=answer.by)


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


def _one_sign(policy: Policy) -> str:
    """The nearest fact that would make an idle instance active, by the policy's rule."""
    return {
        "setup_or_joiner": "one code host or one other user",
        "any_user_event": "one user event",
        "both": "one code host, one other user, or one user event",
    }[policy.trial.activity_rule]


def activated(policy: Policy, usage: Usage) -> bool:
    """Activated, a permanent flag: a code host and enough searches and result views (handbook 2.2)."""
    needs = policy.activation
    return usage.code_hosts > 0 and usage.searches >= needs.searches and usage.result_views >= needs.result_views


def usage_facts(usage: Usage | None, now: datetime) -> tuple[Fact, ...]:
    """An instance's facts, for a decision; none when the instance did not answer."""
    if usage is None:
        return (Fact(name="usage", value=None, source="instance (no answer)", as_of=now),)
    return (
        Fact(name="code hosts", value=usage.code_hosts, source="instance", as_of=usage.as_of),
        Fact(name="users besides the admin", value=usage.joiners, source="instance", as_of=usage.as_of),
        Fact(
            name="last user event",
            value=usage.last_active_at.isoformat() if usage.last_active_at else None,
            source="instance",
            as_of=usage.as_of,
        ),
    )


#: Why a trial that nobody looks after goes on: nobody could have helped, or objected.
UNOWNED = "Nobody looks after the trial yet: it is not ended before it has an AE and a CE"


@replayable("day-15", "A13, C02")
def mid_trial(policy: Policy, usage: Usage | None, now: datetime, *, owned: bool = True) -> Conclusion:
    """Day 15 of a self-serve trial (A13, C02): extend when active, terminate when not, ask when nobody may act or nothing is known.

    ``owned``: it has an AE and a CE; without them it is not ended by itself (gap 16).
    """
    facts = usage_facts(usage, now)
    if usage is None:
        return Conclusion(Course.ASK, "The instance did not answer: a trial is never ended on an unknown.", "the instance's answer", facts)
    active, why = activity(policy, usage)
    proposal = Course.EXTEND if active else Course.TERMINATE
    if policy.trial.d15.mode == "ask":
        rule = f"Nothing happens without the CE's yes; the facts say {proposal}: {why}."
        return Conclusion(Course.ASK, rule, "trial.d15.mode = automatic", facts)
    if active:
        return Conclusion(Course.EXTEND, f"Active: {why}.", "no activity at all", facts)
    if not owned:
        return Conclusion(Course.ASK, f"{UNOWNED}. Inactive: {why}.", "an AE and a CE", facts)
    return Conclusion(Course.TERMINATE, f"Inactive: {why}.", _one_sign(policy), facts)


@replayable("after the grace", "A14, C12")
def after_grace(policy: Policy, usage: Usage | None, now: datetime, *, owned: bool = True) -> Conclusion:
    """The grace after a deadline that nobody decided has ended (A14, C12). An active trial is never ended without a person's yes,
    nor one that is not ``owned`` (gap 16).
    """
    facts = usage_facts(usage, now)
    if usage is None:
        return Conclusion(
            Course.ASK, "The instance did not answer: the decision stays with the CE manager.", "the instance's answer", facts
        )
    active, why = activity(policy, usage)
    if active:
        rule = f"Active ({why}): it stays with the CE manager until a person decides."
        return Conclusion(Course.ASK, rule, "no activity at all", facts)
    if policy.trial.deadline.inactive_after_grace == "ask":
        rule = f"Inactive ({why}), and the policy asks a person even so."
        return Conclusion(Course.ASK, rule, "trial.deadline.inactive_after_grace = terminate", facts)
    if not owned:
        return Conclusion(Course.ASK, f"{UNOWNED}. Inactive: {why}.", "an AE and a CE", facts)
    return Conclusion(Course.TERMINATE, f"Nobody decided in time, and the trial is inactive: {why}.", _one_sign(policy), facts)


@replayable("decision", "A16")
def by_person(policy: Policy, outcome: Course, by: str, why: str, now: datetime, usage: Usage | None = None) -> Conclusion:
    """A person's decision, with what was known when they took it."""
    rule, facts = f"{by or 'Somebody'} decided{': ' + why if why else ''}.", usage_facts(usage, now) if usage else ()
    handbook = {Course.EXTEND: "A15", Course.CONVERT: "A17"}.get(outcome, "")
    return Conclusion(outcome, rule, "the person's choice", facts, by=by, handbook=handbook)


@replayable("admin", "C17")
def corrected(policy: Policy, by: str, now: datetime) -> Conclusion:
    """The initial admin has another address than was typed."""
    rule = f"{by or 'Somebody'} decided: the address of the admin was wrong."
    return Conclusion(Correction.CORRECTED, rule, "the person's choice", by=by)


def extension_days(policy: Policy, origin: Origin, asked: int | None) -> int:
    """How many days an extension adds: what was asked for, else the length for the trial's origin (C03)."""
    return asked or (policy.trial.self_serve if origin == "self_serve" else policy.trial.ce_requested).extension_days


def needs_own_key(policy: Policy, total_days: int) -> bool:
    """Whether an extended trial outlives what its key covers: the generic key covers 30 days in all (A15)."""
    return total_days > policy.trial.key_covers_days


def mail_may_go(policy: Policy, template: str, usage: Usage | None) -> bool:
    """The e-mail rules of engagement (A12): help at any time, check-ins only after usage was seen."""
    return template not in {"usage_check", "next_steps"} or (usage is not None and activity(policy, usage)[0])


# --- refusals: why a message cannot be taken, in words that say what to do; None when it can ---------------------------------------


def _not_now(stage: Stage, what: str) -> str:
    if stage is Stage.SIGNUP:
        return f"the signup is being routed this moment: ask again in a minute whether to {what}"
    if stage is Stage.DECIDING:
        return f"the trial's deadline is being decided this moment: ask again in a minute whether to {what}"
    if stage in {Stage.TEARDOWN, Stage.CONVERTING}:
        return f"too late to {what}: the trial is in stage {stage.value}"
    if stage in {Stage.TRIAGE, Stage.APPROVAL, Stage.WAITLISTED, Stage.PROVISIONING, Stage.HAND_OFF}:
        return f"too early to {what}: the trial has not started (stage {stage.value}); you can terminate it, or answer its open task"
    return f"cannot {what}: the trial has ended ({stage.value})"


def already(decision: Decision) -> str:
    """Why a second decision loses."""
    who = decision.by or "the policy"
    return f"already decided by {who} at {decision.at:%Y-%m-%d %H:%M} UTC: {decision.outcome}; nothing was changed"


def refuse_extend(
    policy: Policy,
    stage: Stage,
    message: Extend,
    last: Extension | None,
    now: datetime,
    origin: Origin = "self_serve",
    ends_at: datetime | None = None,
) -> str | None:
    """Why the trial cannot be extended. Two extensions of one period are one, unless the second says that it means another.

    The period that ``last`` extended goes on until it would have ended, and for so many hours after it was extended: whoever sends within
    them may have looked at the trial before.
    """
    if stage not in OPEN_TO_DECIDE:
        return _not_now(stage, "extend")
    limit = policy.trial.max_extension_days
    if message.days is not None and not 1 <= message.days <= limit:
        return f"days must be from 1 to {limit}, not {message.days}; a longer free trial needs the deal desk"
    if last and not message.again and now < max(last.before, last.at + timedelta(hours=policy.trial.again_hours)):
        return (
            f"extended already by {last.by or 'the policy'} at {last.at:%Y-%m-%d %H:%M} UTC, until {last.until:%Y-%m-%d}; nothing was changed. "
            'To extend it once more, say so: {"again": true}, or --again'
        )
    until = max(ends_at or now, now) + timedelta(days=extension_days(policy, origin, message.days))
    late = licence_keys.too_far(policy.license, licence_keys.last_day_of_trial(policy, until))
    return f"the key of a trial until {until:%Y-%m-%d} would end too late, with its grace: {late}" if late else None


def refuse_convert(policy: Policy, stage: Stage, message: Convert, now: datetime) -> str | None:
    """Why the trial cannot be converted."""
    if stage not in OPEN_TO_DECIDE:
        return _not_now(stage, "convert")
    if message.seats is None or not 1 <= message.seats <= 1_000_000:
        return 'say how many seats were bought: {"seats": 200}'
    if message.contract_end is None:
        terms = policy.license.production.term_months
        late = licence_keys.too_far(policy.license, months_after(now.date(), terms))
        return f"the policy's term of {terms} months: {late}" if late else None
    if odd := facts.odd_day(policy.facts, message.contract_end, now.date()):
        return f"contract_end {odd}"
    if message.contract_end <= now.date():
        return f"contract_end {message.contract_end} is not in the future"
    late = licence_keys.too_far(policy.license, message.contract_end)
    return f"contract_end {late}" if late else None


def refuse_terminate(stage: Stage) -> str | None:
    """Why the trial cannot be terminated."""
    return None if stage in OPEN_TO_TERMINATE else _not_now(stage, "terminate")


def refuse_host(new_host: str, host: str) -> str | None:
    """Why an instance cannot move to a host (A20)."""
    wanted = new_host.strip().lower()
    if not re.fullmatch(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}", wanted):
        return f'{new_host!r} is not a host name; send {{"new_host": "code.acme.com"}}'
    return f"the instance is at {host} already" if wanted == host else None
