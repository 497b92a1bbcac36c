"""Every decision of a trial at its edges, on both sides of each conflict, and always with its evidence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.effects.mail import Template
from domain.effects.registry import Claimed
from domain.messages import Case, CompanyInstance, Usage
from domain.policy import Policy
from domain.task import Answer
from domain.trial import decisions
from domain.trial.qualification import CE_REQUEST_CHECKS, QUESTIONS, checks
from tests.domain.make import MONDAY, POLICY, account, answer, ce_request, day, explained, facts, quickly, signup, usage, with_figures

SETUP, ANY_EVENT = (with_figures(trial__activity_rule=rule) for rule in ("setup_or_joiner", "any_user_event"))
IDLE = usage()


# --- routing (A3) --------------------------------------------------------------------------------------------------------------------------

NAMED = account(named=True, prequalified=True)
LISTED = account(prequalified=True)
THEIRS = CompanyInstance(host="acme.cloud.tenure.example", admin="boss@acme.example")


@pytest.mark.parametrize(
    ("case", "handbook", "sent", "domain"),
    [
        ("free_mail", "A3", signup(email="ada@gmail.com"), "ada@gmail.com"),
        ("free_mail", "A3", signup(NAMED, THEIRS, email="ada@gmail.com"), "ada@gmail.com"),
        ("1", "A4", signup(instance=THEIRS), "acme.example"),
        ("1", "A4", signup(NAMED, THEIRS), "acme.example"),
        ("2.1", "A5", signup(NAMED), "acme.example"),
        ("2.2", "A6", signup(LISTED), "acme.example"),
        ("3", "A7", signup(account()), "acme.example"),
        ("3", "A7", signup(), "acme.example"),
    ],
)
def test_a_signup_goes_to_its_case(case: str, handbook: str, sent: Any, domain: str) -> None:
    decision = explained(decisions.route(POLICY, sent, domain))
    assert (decision.what, decision.outcome, decision.handbook) == ("route", case, handbook)
    assert "Data error" not in decision.rule
    assert Case(decision.outcome) == case


def test_a_named_account_that_is_not_prequalified_is_a_data_error_and_is_served_all_the_same() -> None:
    decision = explained(decisions.route(POLICY, signup(account(named=True)), "acme.example"))
    assert decision.outcome == "2.1"
    assert decision.rule.endswith("Data error: a named account is missing on the prequalified list.")


def test_the_facts_of_routing_name_their_source_and_age() -> None:
    decision = decisions.route(POLICY, signup(NAMED, THEIRS), "acme.example")
    assert facts(decision) == {"domain": "acme.example", "instance": THEIRS.host, "named account": True, "prequalified": True}
    assert {fact.name: (fact.source, fact.as_of) for fact in decision.facts} == {
        "domain": ("signup form", MONDAY),
        "instance": ("registry", MONDAY),
        "named account": ("Salesforce", day(-1)),
        "prequalified": ("Salesforce", day(-1)),
    }


def test_no_address_of_a_person_stands_in_the_dossier() -> None:
    decision = decisions.route(POLICY, signup(email="ada@gmail.com"), "ada@gmail.com")
    assert "@" not in decision.model_dump_json()
    assert facts(decision)["domain"] == "gmail.com"


@pytest.mark.parametrize(
    ("outcome", "handbook", "word"),
    [("claimed", "A25", "src-1 was free"), ("owned", "A4", "instance already"), ("full", "A26", "cap of 300"), ("empty", "A25", "No warm")],
)
def test_what_the_registry_answers_is_a_decision(outcome: Any, handbook: str, word: str) -> None:
    decision = explained(decisions.claim(POLICY, Claimed(outcome=outcome, host="src-1", live=299, warm=3), MONDAY))
    assert (decision.outcome, decision.handbook) == (outcome, handbook)
    assert word in decision.rule
    assert facts(decision) == {"instances in use": 299, "warm instances left": 3}


def test_the_cap_is_the_policys() -> None:
    decision = decisions.claim(with_figures(cloud__instance_cap=2), Claimed(outcome="full", live=2), MONDAY)
    assert "The cap of 2 instances" in decision.rule


# --- a lead, a request ---------------------------------------------------------------------------------------------------------------------

CRITERIA = POLICY.qualification.criteria
LENIENT = with_figures(qualification__failed_checks_allowed=2)


def judged(*failed: str, choice: str = "qualify", **more: Any) -> Answer:
    return answer(choice, checks={name: name not in failed for name in CRITERIA}, **more)


def test_every_criterion_is_asked_as_a_question() -> None:
    assert [check.name for check in checks(POLICY)] == list(CRITERIA)
    assert {check.question for check in checks(POLICY)} == set(QUESTIONS.values())
    own = with_figures(qualification__criteria=("fits_size", "has_a_budget"))
    assert [check.question for check in checks(own)] == [QUESTIONS["fits_size"], "has a budget?"]


def test_a_lead_of_which_everything_holds_qualifies() -> None:
    decision = explained(decisions.qualify(POLICY, judged(), MONDAY))
    assert (decision.outcome, decision.handbook, decision.by) == ("qualified", "A9", "sam@tenure.example")
    assert decision.rule == "Every criterion that must hold holds."
    assert decision.nearest == "one more failed criterion"
    assert facts(decision) == dict.fromkeys(CRITERIA, True)


def test_one_failed_criterion_disqualifies_and_says_what_would_change_it() -> None:
    decision = explained(decisions.qualify(POLICY, judged("fits_size"), MONDAY))
    assert (decision.outcome, decision.handbook) == ("disqualified", "A8")
    assert decision.rule == "The lead fails: fits_size."
    assert decision.nearest == "a yes to fits_size"
    both = explained(decisions.qualify(POLICY, judged("fits_size", "right_contact"), MONDAY))
    assert both.nearest == "a yes to fits_size and right_contact"


def test_a_criterion_that_was_not_answered_does_not_hold() -> None:
    decision = explained(decisions.qualify(POLICY, answer("qualify"), MONDAY))
    assert decision.outcome == "disqualified"
    assert facts(decision) == dict.fromkeys(CRITERIA, None)


def test_the_policy_may_allow_failed_criteria() -> None:
    one, two, three = (judged(*CRITERIA[:failed]) for failed in (1, 2, 3))
    for judgement, outcome, nearest in (
        (judged(), "qualified", "3 more failed criteria"),
        (one, "qualified", "2 more failed criteria"),
        (two, "qualified", "one more failed criterion"),
        (three, "disqualified", f"a yes to {CRITERIA[0]}"),
    ):
        decision = explained(decisions.qualify(LENIENT, judgement, MONDAY), LENIENT)
        assert (decision.outcome, decision.nearest) == (outcome, nearest)
    assert decisions.qualify(LENIENT, one, MONDAY).rule == "1 failed criteria, 2 allowed."


def test_an_sdr_who_says_no_disqualifies_whatever_holds() -> None:
    decision = explained(decisions.qualify(POLICY, judged(choice="disqualify", note="a student"), MONDAY))
    assert (decision.outcome, decision.rule, decision.nearest) == (
        "disqualified",
        "The SDR disqualified the lead: a student.",
        "the SDR's choice",
    )
    assert explained(decisions.qualify(POLICY, judged(choice="disqualify"), MONDAY)).rule == "The SDR disqualified the lead."


def approved(*failed: str, choice: str = "approve", note: str = "") -> Answer:
    return answer(choice, checks={check.name: check.name not in failed for check in CE_REQUEST_CHECKS}, note=note)


def test_a_ces_request_needs_all_three_checks_and_the_managers_yes() -> None:
    names = [check.name for check in CE_REQUEST_CHECKS]
    yes = explained(decisions.approve(POLICY, ce_request(size="large"), approved(), MONDAY))
    assert (yes.outcome, yes.handbook, yes.nearest) == ("approved", "A28", "one check failing")
    assert facts(yes) == {**dict.fromkeys(names, True), "size": "large"}
    for name in names:
        no = explained(decisions.approve(POLICY, ce_request(), approved(name), MONDAY))
        assert (no.outcome, no.rule, no.nearest) == ("denied", f"Not approved: {name}.", f"a yes to {name}")
    denied = explained(decisions.approve(POLICY, ce_request(), approved(choice="deny", note="no budget"), MONDAY))
    assert (denied.outcome, denied.rule, denied.nearest) == (
        "denied",
        "The manager denied the request: no budget.",
        "the manager's choice",
    )


# --- activity (handbook 2.4) -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "seen", "active"),
    [
        (POLICY, {}, False),
        (POLICY, {"code_hosts": 1}, True),
        (POLICY, {"joiners": 1}, True),
        (POLICY, {"last_active_at": MONDAY}, True),
        (SETUP, {"code_hosts": 1}, True),
        (SETUP, {"joiners": 1}, True),
        (SETUP, {"last_active_at": MONDAY}, False),
        (ANY_EVENT, {"code_hosts": 1}, False),
        (ANY_EVENT, {"joiners": 1}, False),
        (ANY_EVENT, {"last_active_at": MONDAY}, True),
    ],
)
def test_each_rule_counts_what_it_names(policy: Policy, seen: dict[str, Any], active: bool) -> None:
    assert decisions.activity(policy, usage(**seen))[0] is active


def test_the_window_ends_with_its_last_moment() -> None:
    def event(ago: timedelta) -> Usage:
        return usage(last_active_at=MONDAY - ago)

    days, instant = timedelta(days=15), timedelta(microseconds=1)
    assert decisions.activity(POLICY, event(days))[0]
    assert not decisions.activity(POLICY, event(days + instant))[0]
    wider = with_figures(trial__activity_window_days=30)
    assert decisions.activity(wider, event(days + instant))[0]


def test_the_evidence_names_what_counts_and_nothing_else() -> None:
    busy = usage(code_hosts=1, joiners=2, last_active_at=MONDAY)
    assert decisions.activity(POLICY, busy)[1] == (
        "a code host is connected and another user joined and a user was active in the last 15 days"
    )
    assert decisions.activity(POLICY, IDLE)[1] == "no code host, no other user, no user event in the last 15 days"
    assert decisions.activity(SETUP, usage(last_active_at=MONDAY))[1] == "no code host, no other user"
    assert decisions.activity(ANY_EVENT, usage(code_hosts=1, joiners=2))[1] == "no user event in the last 15 days"


@pytest.mark.parametrize(
    ("seen", "is_it"),
    [
        ({"code_hosts": 1, "searches": 3, "result_views": 3}, True),
        ({"code_hosts": 0, "searches": 3, "result_views": 3}, False),
        ({"code_hosts": 1, "searches": 2, "result_views": 3}, False),
        ({"code_hosts": 1, "searches": 3, "result_views": 2}, False),
    ],
)
def test_activated_needs_a_code_host_and_enough_use(seen: dict[str, Any], is_it: bool) -> None:
    """A19."""
    assert decisions.activated(POLICY, usage(**seen)) is is_it


def test_the_facts_of_use_are_the_instances_own_and_as_old_as_its_answer() -> None:
    seen = decisions.usage_facts(usage(day(-1), code_hosts=2, joiners=1, last_active_at=day(-3)), MONDAY)
    assert {fact.name: fact.value for fact in seen} == {
        "code hosts": 2,
        "users besides the admin": 1,
        "last user event": "2026-02-27T09:00:00+00:00",
    }
    assert {(fact.source, fact.as_of) for fact in seen} == {("instance", day(-1))}
    [unknown] = decisions.usage_facts(None, MONDAY)
    assert (unknown.value, unknown.source) == (None, "instance (no answer)")


@pytest.mark.parametrize("count", ["code_hosts", "joiners", "searches", "result_views"])
def test_an_instance_cannot_count_below_nothing(count: str) -> None:
    with pytest.raises(ValueError, match="counts cannot be negative"):
        Usage.model_validate({"as_of": MONDAY, count: -1})


# --- day 15 and the grace (A13, A14, C02, C12) -----------------------------------------------------------------------------------------------

ASK_15 = with_figures(trial__d15__mode="ask")
STAYS = with_figures(trial__deadline__inactive_after_grace="ask")
BUSY = usage(code_hosts=1)


@pytest.mark.parametrize(
    ("policy", "seen", "outcome", "nearest"),
    [
        (POLICY, BUSY, "extend", "no activity at all"),
        (POLICY, IDLE, "terminate", "one code host, one other user, or one user event"),
        (POLICY, None, "ask", "the instance's answer"),
        (ASK_15, BUSY, "ask", "trial.d15.mode = automatic"),
        (ASK_15, IDLE, "ask", "trial.d15.mode = automatic"),
        (ASK_15, None, "ask", "the instance's answer"),
    ],
)
def test_day_15_acts_on_the_facts_or_asks(policy: Policy, seen: Usage | None, outcome: str, nearest: str) -> None:
    """C02, at both values: automatic acts, ask only proposes; nothing is ever ended on an unknown."""
    decision = explained(decisions.mid_trial(policy, seen, MONDAY), policy)
    assert (decision.what, decision.outcome, decision.nearest) == ("day-15", outcome, nearest)
    if policy is ASK_15 and seen is not None:
        assert f"the facts say {'extend' if seen is BUSY else 'terminate'}" in decision.rule


@pytest.mark.parametrize(
    ("policy", "seen", "outcome", "nearest"),
    [
        (POLICY, BUSY, "ask", "no activity at all"),
        (POLICY, IDLE, "terminate", "one code host, one other user, or one user event"),
        (POLICY, None, "ask", "the instance's answer"),
        (STAYS, BUSY, "ask", "no activity at all"),
        (STAYS, IDLE, "ask", "trial.deadline.inactive_after_grace = terminate"),
        (STAYS, None, "ask", "the instance's answer"),
    ],
)
def test_after_the_grace_only_an_idle_trial_is_ended(policy: Policy, seen: Usage | None, outcome: str, nearest: str) -> None:
    """C12, at both values: an active trial is never ended without a person's yes."""
    decision = explained(decisions.after_grace(policy, seen, MONDAY), policy)
    assert (decision.what, decision.outcome, decision.nearest) == ("after the grace", outcome, nearest)


@pytest.mark.parametrize("decided", [decisions.mid_trial, decisions.after_grace])
@pytest.mark.parametrize(("policy", "fact"), [(SETUP, "one code host or one other user"), (ANY_EVENT, "one user event")])
def test_the_nearest_fact_is_one_that_the_rule_counts(decided: Any, policy: Policy, fact: str) -> None:
    assert decided(policy, IDLE, MONDAY).nearest == fact


usages = st.builds(
    Usage,
    as_of=st.just(MONDAY),
    code_hosts=st.integers(0, 2),
    joiners=st.integers(0, 2),
    last_active_at=st.one_of(st.none(), st.integers(0, 40).map(lambda ago: day(-ago))),
)
policies = st.builds(
    with_figures,
    trial__activity_rule=st.sampled_from(["setup_or_joiner", "any_user_event", "both"]),
    trial__d15__mode=st.sampled_from(["automatic", "ask"]),
    trial__deadline__inactive_after_grace=st.sampled_from(["terminate", "ask"]),
)


@quickly
@given(policy=policies, seen=st.one_of(st.none(), usages))
def test_no_policy_ends_an_active_trial_or_one_of_which_nothing_is_known(policy: Policy, seen: Usage | None) -> None:
    for decided in (decisions.mid_trial, decisions.after_grace):
        decision = explained(decided(policy, seen, MONDAY), policy)
        if decision.outcome == "terminate":
            assert seen is not None
            assert not decisions.activity(policy, seen)[0]
            woken = seen.model_copy(update={"code_hosts": 1, "joiners": 1, "last_active_at": MONDAY})
            assert decided(policy, woken, MONDAY).outcome != "terminate"


# --- a person's word, an extension, a mail -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "handbook"), [("extend", "A15"), ("convert", "A17"), ("terminate", "A16")])
def test_a_person_decides_with_what_was_known(outcome: str, handbook: str) -> None:
    decision = explained(decisions.by_person(POLICY, decisions.Course(outcome), "carol@tenure.example", "they love it", MONDAY, BUSY))
    assert (decision.outcome, decision.handbook, decision.by) == (outcome, handbook, "carol@tenure.example")
    assert decision.rule == "carol@tenure.example decided: they love it."
    assert facts(decision)["code hosts"] == 1


def test_a_decision_without_a_name_or_a_reason_is_still_one() -> None:
    decision = explained(decisions.by_person(POLICY, decisions.Course.TERMINATE, "", "", MONDAY))
    assert (decision.rule, decision.facts) == ("Somebody decided.", ())


def test_an_extension_is_as_long_as_asked_or_as_its_origin_has_it() -> None:
    """C03, keyed by origin."""
    assert decisions.extension_days(POLICY, "self_serve", None) == 15
    assert decisions.extension_days(POLICY, "ce_requested", None) == 30
    assert decisions.extension_days(POLICY, "self_serve", 7) == 7
    other = with_figures(trial__self_serve__extension_days=30, trial__ce_requested__extension_days=15)
    assert decisions.extension_days(other, "self_serve", None) == 30
    assert decisions.extension_days(other, "ce_requested", None) == 15


def test_a_trial_needs_a_key_of_its_own_from_day_31() -> None:
    """A15."""
    assert not decisions.needs_own_key(POLICY, 30)
    assert decisions.needs_own_key(POLICY, 31)
    assert not decisions.needs_own_key(with_figures(trial__key_covers_days=60), 60)


@pytest.mark.parametrize("template", get_args(Template))
def test_check_ins_go_out_only_after_usage_was_seen(template: str) -> None:
    """A12: help at any time."""
    gated = template in {"usage_check", "next_steps"}
    assert decisions.mail_may_go(POLICY, template, BUSY)
    assert decisions.mail_may_go(POLICY, template, IDLE) is not gated
    assert decisions.mail_may_go(POLICY, template, None) is not gated


@pytest.mark.parametrize("asks", [POLICY, ASK_15, STAYS])
def test_the_policy_that_decided_is_named(asks: Policy) -> None:
    assert decisions.mid_trial(asks, BUSY, MONDAY).policy == asks.hash


@pytest.mark.parametrize("judge", [decisions.mid_trial, decisions.after_grace])
@pytest.mark.parametrize("usage", [None, IDLE, BUSY])
def test_what_nobody_owns_is_never_ended_by_itself(judge: Any, usage: Usage | None) -> None:
    """Gap 16: the outcome is the same as ever, but for the end, in whose place a person is asked."""
    owned, unowned = judge(POLICY, usage, MONDAY), judge(POLICY, usage, MONDAY, owned=False)
    assert unowned.outcome == ("ask" if owned.outcome == "terminate" else owned.outcome)
    assert ("Nobody looks after the trial yet" in unowned.rule) is (owned.outcome == "terminate")
