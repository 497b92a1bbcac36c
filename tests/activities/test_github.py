"""GitHub's activities against the sandbox: issues, comments and runs, each once, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from temporalio.exceptions import ApplicationError

from activities.github.client import Pace
from activities.github.effects import GitHub, body_of, filled, mark, names
from domain.cloud.issues import READY_LABEL
from domain.effects.effect import Effect, EffectBatch
from domain.effects.github import AskIssue, CloseIssue, Comment, Dispatch, FillField, RaiseIssue
from domain.upkeep import AskRuns
from sandbox.core import Fault
from sandbox.github_store import CLOUD, Hub, Issue, Repo
from sandbox.server import SandboxServer
from store.ledger import EffectId, Ledger, NotDone
from store.settings import Settings

SUBJECT = "trial-acme.example/ab12cd34.0"
AS_OF = datetime(2026, 3, 2, 9, tzinfo=UTC)
RAISE = RaiseIssue(
    key="request",
    title="New trial instance: acme.example",
    intro="A qualified signup needs an instance.",
    fields={"host": "acme.cloud.tenure.example", "ce_email": "TODO", "instance_size": "small"},
    labels=("mi/instance-request", "cloud-trial"),
)
DISPATCH = Dispatch(key="host-1", workflow="create-instance.yml", inputs={"host": "src-1.cloud.tenure.example"})


@pytest.fixture
def github(settings: Settings, ledger: Ledger) -> Iterator[GitHub]:
    made = GitHub.from_settings(settings, ledger)
    yield made
    made.close()


def batch(*acts: Effect, subject: str = SUBJECT) -> EffectBatch:
    return EffectBatch(subject=subject, as_of=AS_OF, effects=acts)


def done(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects if effect.service == "github"]


def hub(sandbox: SandboxServer) -> tuple[Hub, Repo]:
    found: Hub = sandbox.world.services["github"].hub
    return found, found.repo("acme-vendor", "customer")


def issue_of(sandbox: SandboxServer, number: int) -> Issue:
    store, repo = hub(sandbox)
    return store.issue(repo, number)


def test_raises_an_issue_with_fields_labels_and_a_hidden_mark(github: GitHub, sandbox: SandboxServer) -> None:
    receipt = github.carry_out(batch(RAISE)).of("request")
    issue = issue_of(sandbox, int(receipt.ref))
    assert issue.title == RAISE.title
    assert issue.labels == list(RAISE.labels)
    lines = (issue.body or "").splitlines()
    start = lines.index("```")
    assert lines[start + 1 : start + 4] == ["host: acme.cloud.tenure.example", "ce_email: TODO", "instance_size: small"]
    assert lines[-1] == f"<!-- tenure:{SUBJECT}/request -->"
    assert receipt.data["url"].endswith(f"/issues/{receipt.ref}")


def test_a_title_that_github_cannot_hold_is_made_to_fit(github: GitHub, sandbox: SandboxServer) -> None:
    titles = ["Convert the trial of " + "Acme " * 60 + end for end in ("a", "b")]
    acts = [RAISE.model_copy(update={"key": f"request-{number}", "title": title}) for number, title in enumerate(titles)]
    made = github.carry_out(batch(*acts))
    shown = {issue_of(sandbox, int(made.of(act.key).ref)).title for act in acts}
    assert len(shown) == 2
    assert all(len(title) <= 256 and title.startswith("Convert the trial of Acme") for title in shown)


def test_fills_in_one_field_and_leaves_the_rest(github: GitHub, sandbox: SandboxServer) -> None:
    number = int(github.carry_out(batch(RAISE)).of("request").ref)
    before = issue_of(sandbox, number).body or ""
    fill = FillField(key="ce-email", issue=number, field="ce_email", value="ce-ada@tenure.example")
    github.carry_out(batch(fill))
    assert issue_of(sandbox, number).body == before.replace("ce_email: TODO", "ce_email: ce-ada@tenure.example")
    again = FillField(key="ce-email-again", issue=number, field="ce_email", value="ce-ada@tenure.example")
    github.carry_out(batch(again))
    assert done(sandbox).count("issue.edited") == 1


def life(number: int) -> tuple[Effect, ...]:
    return (
        RAISE,
        FillField(key="ce-email", issue=number, field="ce_email", value="ce-ada@tenure.example"),
        Comment(key="note", issue=number, text="The CE is known now."),
        CloseIssue(key="close", issue=number, reason="not_planned", text="The trial was cancelled."),
        DISPATCH,
    )


ONCE = ["issue.created", "issue.edited", "comment.created", "comment.created", "issue.closed", "workflow.dispatched"]


def test_a_whole_life_happens_once_and_is_answered_from_the_ledger_afterwards(github: GitHub, sandbox: SandboxServer) -> None:
    first = github.carry_out(batch(*life(1)))
    assert done(sandbox) == ONCE
    assert issue_of(sandbox, 1).state_reason == "not_planned"
    sandbox.world.faults.append(Fault("github", "status", times=1000))
    assert github.carry_out(batch(*life(1))) == first
    assert done(sandbox) == ONCE


@pytest.mark.parametrize("kind", ["cut_after", "cut_before", "status"])
@pytest.mark.parametrize(
    "request_line", ["POST /github/api/v3/repos/acme-vendor/customer/issues\n", "PATCH ", "CE is known", "was cancelled", "dispatches"]
)
def test_nothing_happens_twice_when_an_answer_is_lost(github: GitHub, sandbox: SandboxServer, kind: Any, request_line: str) -> None:
    sandbox.world.faults.append(Fault("github", kind, match=request_line, status=502))
    with pytest.raises(ApplicationError) as caught:
        github.carry_out(batch(*life(1)))
    assert caught.value.type == "GitHubUnsure"
    assert not caught.value.non_retryable
    github.carry_out(batch(*life(1)))
    assert sorted(done(sandbox)) == sorted(ONCE)


def test_a_lost_close_closes_without_a_second_comment(github: GitHub, sandbox: SandboxServer) -> None:
    github.carry_out(batch(RAISE))
    close = CloseIssue(key="close", issue=1, reason="completed", text="Done.")
    sandbox.world.faults.append(Fault("github", "cut_after", match='"state"'))
    with pytest.raises(ApplicationError):
        github.carry_out(batch(close))
    github.carry_out(batch(close))
    assert done(sandbox) == ["issue.created", "comment.created", "issue.closed"]


def test_an_issue_of_another_trial_is_not_taken_for_ours(github: GitHub, sandbox: SandboxServer) -> None:
    github.carry_out(batch(RAISE, subject="trial-acme.example/ab12cd34.01"))
    sandbox.world.faults.append(Fault("github", "cut_before", match="POST"))
    with pytest.raises(ApplicationError):
        github.carry_out(batch(RAISE))
    assert github.carry_out(batch(RAISE)).of("request").ref == "2"


def test_a_lost_issue_is_found_although_people_changed_its_labels(github: GitHub, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("github", "cut_after", match="POST"))
    with pytest.raises(ApplicationError):
        github.carry_out(batch(RAISE))
    store, repo = hub(sandbox)
    store.set_labels(repo, store.issue(repo, 1), CLOUD, ["triaged"])
    assert github.carry_out(batch(RAISE)).of("request").ref == "1"


def test_the_host_is_read_once_the_label_says_ready(github: GitHub, sandbox: SandboxServer) -> None:
    github.carry_out(batch(RAISE))
    store, repo = hub(sandbox)
    issue = store.issue(repo, 1)
    for text in ("Working on it", "Instance ready: https://old.cloud.tenure.example", "Instance ready: https://Acme.cloud.tenure.example."):
        store.add_comment(repo, issue, CLOUD, text)
    assert github.issue(AskIssue(issue=1)).host == ""
    store.add_labels(repo, issue, CLOUD, [READY_LABEL])
    state = github.issue(AskIssue(issue=1))
    assert state.host == "acme.cloud.tenure.example"
    assert READY_LABEL in state.labels
    assert state.state == "open"


def test_an_issue_says_why_it_was_closed(github: GitHub, sandbox: SandboxServer) -> None:
    github.carry_out(batch(RAISE))
    store, repo = hub(sandbox)
    assert (github.issue(AskIssue(issue=1)).state, github.issue(AskIssue(issue=1)).reason) == ("open", "")
    store.edit_issue(repo, store.issue(repo, 1), CLOUD, {"state": "closed", "state_reason": "not_planned"})
    assert (github.issue(AskIssue(issue=1)).state, github.issue(AskIssue(issue=1)).reason) == ("closed", "not_planned")


def test_the_host_that_the_team_named_last_counts_however_it_is_written_and_no_strangers(github: GitHub, sandbox: SandboxServer) -> None:
    """F16, F17, F25: Markdown, a label in other letters, an outsider's comment, our own words."""
    github.carry_out(batch(RAISE))
    store, repo = hub(sandbox)
    store.add_user("mallory", association="NONE")
    issue = store.issue(repo, 1)
    store.add_labels(repo, issue, CLOUD, ["Cloud-Trial/Instance-Ready"])
    for login, text in (
        (CLOUD, "Instance ready: https://old.cloud.tenure.example"),
        (CLOUD, "**Instance ready:** [acme](https://acme.cloud.tenure.example)"),
        ("mallory", "**Instance ready:** https://evil.cloud.tenure.example"),
        (CLOUD, "have fun"),
    ):
        store.add_comment(repo, issue, login, text)
    github.carry_out(batch(Comment(key="c", issue=1, text="Instance ready: https://ours.cloud.tenure.example")))
    assert github.issue(AskIssue(issue=1)).host == "acme.cloud.tenure.example"


def test_a_deleted_and_a_transferred_issue_are_states_and_no_errors(github: GitHub, sandbox: SandboxServer) -> None:
    """F27: GitHub says 410 and 301; closing what is gone needs nothing more."""
    github.carry_out(batch(RAISE, RAISE.model_copy(update={"key": "second"})))
    store, repo = hub(sandbox)
    store.delete_issue(repo, store.issue(repo, 1), CLOUD)
    there = store.transfer_issue(repo, store.issue(repo, 2), CLOUD, store.repo("acme-vendor", "cloud"))
    assert github.issue(AskIssue(issue=1)).state == "deleted"
    moved = github.issue(AskIssue(issue=2))
    assert (moved.state, moved.moved_to.rpartition("/github/")[2]) == ("transferred", f"acme-vendor/cloud/issues/{there.number}")
    closed = github.carry_out(batch(CloseIssue(key="cancel", issue=1, reason="not_planned", text="cancelled"))).of("cancel")
    assert closed.data == {"gone": "deleted"}
    assert github.issue(AskIssue(issue=3)).state == "deleted"  # one that never was: nobody tells the two apart
    assert store.create_issue(repo, CLOUD, "another").number == 3


def test_a_repository_under_another_name_has_its_issues_still(settings: Settings, ledger: Ledger, sandbox: SandboxServer) -> None:
    made = settings.model_copy(update={"github_repo": "Acme-Vendor/Customer"})
    github = GitHub.from_settings(made, ledger)
    github.carry_out(batch(RAISE))
    assert github.issue(AskIssue(issue=1)).state == "open"
    github.close()


async def test_runs_say_which_requests_are_completed(github: GitHub, sandbox: SandboxServer) -> None:
    other = Dispatch(key="host-10", workflow="create-instance.yml", inputs={"host": "src-10.cloud.tenure.example"})
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{sandbox.url}/github/_control/actions", json={"fail_next": 1})
        answer.raise_for_status()
    receipts = github.carry_out(batch(DISPATCH, other))
    requests = (receipts.of("host-1").ref, receipts.of("host-10").ref, f"{SUBJECT}/host-2")
    ask = AskRuns(workflow="create-instance.yml", requests=requests)
    for _ in range(200):
        states = github.runs(ask)
        if len(states.completed) == 2:
            break
        assert set(states.completed) | set(states.running) == set(requests[:2])
    assert states.completed == {requests[0]: "failure", requests[1]: "success"}


def test_names_is_exact() -> None:
    assert names("create-instance src-1.x pool/ab.0/host-1", "pool/ab.0/host-1")
    assert names("Make src-1 (pool/ab.0/host-1).", "pool/ab.0/host-1")
    assert not names("create-instance pool/ab.0/host-10", "pool/ab.0/host-1")
    assert not names("create-instance pool/ab.0/host-1.5", "pool/ab.0/host-1")
    assert not names("create-instance my-pool/ab.0/host-1", "pool/ab.0/host-1")


def test_a_field_cannot_begin_another_or_leave_the_block() -> None:
    act = RAISE.model_copy(update={"fields": {"company": "Evil\nhost: other.example\n```\n# Heading"}})
    body = body_of(act, EffectId(SUBJECT, "request"))
    assert body.count("```") == 2
    assert "company: Evil host: other.example ''' # Heading" in body.splitlines()


def test_filling_keeps_windows_line_ends_and_restores_a_removed_line() -> None:
    assert filled("```\r\nce_email: TODO\r\nhost: x\r\n```", "ce_email", "a@b.example") == "```\r\nce_email: a@b.example\r\nhost: x\r\n```"
    assert filled("rewritten by a person", "ce_email", "a@b.example").splitlines()[-2] == "ce_email: a@b.example"


def test_mark_is_invisible() -> None:
    assert mark(EffectId(SUBJECT, "k")).startswith("<!--")


def test_a_rate_limit_names_when_to_try_again(github: GitHub, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("github", "rate_limit", retry_after=11))
    with pytest.raises(NotDone) as caught:
        github.carry_out(batch(RAISE))
    assert caught.value.type == "GitHubRateLimited"
    assert caught.value.next_retry_delay == timedelta(seconds=11)


def test_a_bad_token_is_tried_again_when_it_may_be_mended(sandbox: SandboxServer, settings: Settings, ledger: Ledger) -> None:
    sandbox.world.faults.append(Fault("github", "status", status=401, body='{"message": "Bad credentials"}'))
    github = GitHub.from_settings(settings, ledger)
    with pytest.raises(NotDone) as caught:
        github.carry_out(batch(RAISE))
    github.close()
    assert (caught.value.type, caught.value.non_retryable) == ("GitHubForbidden", False)
    assert caught.value.next_retry_delay == timedelta(minutes=5)


def test_what_is_invalid_is_refused_for_good(github: GitHub, sandbox: SandboxServer) -> None:
    with pytest.raises(NotDone, match="title") as caught:
        github.carry_out(batch(RAISE.model_copy(update={"title": " "})))
    assert (caught.value.type, caught.value.non_retryable) == ("GitHubRefused", True)
    assert done(sandbox) == []


def test_a_missing_issue_is_refused_and_a_hidden_repository_waits_for_its_token(github: GitHub, sandbox: SandboxServer) -> None:
    comment = Comment(key="note", issue=99, text="hello")
    with pytest.raises(NotDone) as caught:
        github.carry_out(batch(comment))
    assert (caught.value.type, caught.value.non_retryable) == ("GitHubNotFound", True)
    sandbox.world.faults.append(Fault("github", "status", status=404, times=2, body='{"message": "Not Found"}'))
    with pytest.raises(NotDone) as caught:
        github.carry_out(batch(comment))
    assert (caught.value.type, caught.value.non_retryable) == ("GitHubForbidden", False)


def test_an_unreachable_github_did_nothing(settings: Settings, ledger: Ledger) -> None:
    gone = GitHub.from_settings(settings.model_copy(update={"github_url": "http://127.0.0.1:9/api/v3"}), ledger)
    with pytest.raises(NotDone) as caught:
        gone.carry_out(batch(RAISE))
    gone.close()
    assert caught.value.type == "GitHubUnreachable"
    assert ledger.effects(SUBJECT) == []


def test_threads_do_not_mix_their_requests(github: GitHub, sandbox: SandboxServer) -> None:
    def raise_one(number: int) -> str:
        act = RAISE.model_copy(update={"title": f"issue for {number}"})
        receipt = github.carry_out(batch(act, subject=f"trial-{number}.example/ab12cd34.0")).of("request")
        return issue_of(sandbox, int(receipt.ref)).title

    with ThreadPoolExecutor(8) as pool:
        titles = list(pool.map(raise_one, range(40)))
    assert titles == [f"issue for {number}" for number in range(40)]


def test_writes_of_all_threads_are_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("activities.github.client.time.sleep", slept.append)
    monkeypatch.setattr("activities.github.client.time.monotonic", lambda: 100.0)
    pace = Pace(timedelta(seconds=1))
    for _ in range(3):
        pace.wait()
    assert slept == [0.0, 1.0, 2.0]
