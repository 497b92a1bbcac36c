"""GitHub's deliveries: the signature over the raw bytes, which workflow an issue belongs to, and what is ignored."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from domain.cloud.issues import READY_LABEL
from domain.messages import IssueEvent
from starter.errors import Unavailable
from starter.web import webhooks
from starter.web.webhooks import signed, workflow_of
from store.access import Deliveries
from tests.starter.web_fakes import Site, site_in

MARKER = "<!-- tenure:trial-acme.com/0a1b2c3d.1/request -->"
SAMPLES = Path(__file__).parents[4] / "shared" / "contracts" / "gh-webhooks.json.gz"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as made:
        yield made


def issue(body: str | None = f"intro\n\n{MARKER}\n", **more: Any) -> dict[str, Any]:
    return {"number": 7, "state": "open", "body": body, "labels": [{"name": "mi", "color": "ccc"}, {"name": READY_LABEL}], **more}


def payload(action: str = "labeled", **more: Any) -> dict[str, Any]:
    return {"action": action, "issue": issue(), "repository": {"full_name": "acme-vendor/customer"}, **more}


async def deliver(
    site: Site, tree: object, event: str = "issues", *, secret: str = "", signature: str | None = None, delivery: str = ""
) -> httpx.Response:
    body = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    key = secret or site.settings.github_webhook_secret.get_secret_value()
    made = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
        "X-Hub-Signature-256": made if signature is None else signature,
    }
    return await site.http.post("/webhooks/github", content=body, headers=headers | {"Content-Type": "application/json"})


def test_the_signature_is_githubs() -> None:
    # The example that GitHub's documentation gives for testing one's own implementation.
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signed("It's a Secret to Everybody", b"Hello, World!", expected)
    assert not signed("It's a Secret to Everybody", b"Hello, World! ", expected)
    assert not signed("another", b"Hello, World!", expected)
    assert not signed("It's a Secret to Everybody", b"Hello, World!", "sha256=é")


@pytest.mark.parametrize("signature", ["", "sha256=", "sha1=abc", "sha256=" + "0" * 64, "nonsense é".encode().decode("latin-1")])
async def test_a_wrong_signature_is_refused_before_anything_is_read(site: Site, signature: str) -> None:
    answer = await deliver(site, b"{not json", signature=signature.encode("ascii", "replace").decode())
    assert answer.status_code == 401
    assert "TENURE_GITHUB_WEBHOOK_SECRET" in answer.json()["do"]
    assert site.tenure.calls == []


async def test_a_signature_with_another_secret_is_refused(site: Site) -> None:
    assert (await deliver(site, payload(), secret="another")).status_code == 401


async def test_without_a_secret_nothing_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_GITHUB_WEBHOOK_SECRET", "")
    async with site_in(tmp_path) as site:
        body = json.dumps(payload()).encode()
        unkeyed = "sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest()
        assert (await deliver(site, body, secret="x", signature=unkeyed)).status_code == 401


async def test_a_label_becomes_a_signal_of_the_trial_that_raised_the_issue(site: Site) -> None:
    answer = await deliver(site, payload())
    assert (answer.status_code, answer.json()["result"]) == (202, "signalled")
    expected = IssueEvent(issue=7, action="labeled", labels=("mi", READY_LABEL), state="open", host="")
    assert site.tenure.of("issue_event") == [("trial-acme.com", expected)]


async def test_a_comment_names_the_host(site: Site) -> None:
    comment = {"body": "**Instance ready:** https://Acme.cloud.tenure.example/\nkey below", "author_association": "MEMBER"}
    await deliver(site, payload("created", comment=comment), "issue_comment")
    ((_, event),) = site.tenure.of("issue_event")
    assert (event.action, event.host) == ("commented", "acme.cloud.tenure.example")


async def test_a_deleted_comment_names_nothing(site: Site) -> None:
    comment = NAMING["comment"]
    answer = await deliver(site, payload("deleted", comment=comment), "issue_comment")
    assert (answer.status_code, answer.json()["result"]) == (202, "ignored")
    assert site.tenure.calls == []


async def test_a_closed_issue_is_told_whatever_its_labels(site: Site) -> None:
    await deliver(site, payload("closed", issue=issue(state="closed", labels=[])))
    ((_, event),) = site.tenure.of("issue_event")
    assert event == IssueEvent(issue=7, action="closed", state="closed")


async def test_why_an_issue_was_closed_is_told(site: Site) -> None:
    await deliver(site, payload("closed", issue=issue(state="closed", state_reason="not_planned")))
    ((_, event),) = site.tenure.of("issue_event")
    assert event.reason == "not_planned"


OPEN = [{"name": "mi"}, {"name": "team/cloud"}]
NAMING = {"comment": {"body": "Instance ready: https://acme.cloud.tenure.example", "author_association": "COLLABORATOR"}}


@pytest.mark.parametrize(
    ("event", "tree"),
    [
        ("issues", payload("opened", issue=issue(labels=OPEN))),
        ("issues", payload("labeled", issue=issue(labels=OPEN))),
        ("issues", payload("labeled", issue=issue(labels=[*OPEN, {"name": "cloud-trial/failed"}]))),
        ("issues", payload("unlabeled")),
        ("issues", payload("edited")),
        ("issues", payload("assigned")),
        ("issues", payload("pinned")),
        ("issue_comment", payload("created", comment={"body": "On it."})),
        ("issue_comment", payload("created", comment={"body": None})),
        ("issue_comment", payload("created", issue=issue(labels=OPEN), **NAMING)),
        ("issue_comment", payload("created", comment=NAMING["comment"] | {"author_association": "NONE", "user": {"login": "mallory"}})),
        ("issue_comment", payload("created", comment=NAMING["comment"] | {"author_association": "CONTRIBUTOR"})),
        ("issue_comment", payload("created", comment=NAMING["comment"] | {"body": f"Instance ready: https://a.b.example\n\n{MARKER}"})),
    ],
)
async def test_what_no_workflow_acts_on_costs_it_no_signal(site: Site, event: str, tree: dict[str, Any]) -> None:
    answer = await deliver(site, tree, event)
    assert (answer.status_code, answer.json()["result"], answer.json()["workflow"]) == (202, "ignored", "trial-acme.com")
    assert answer.json()["why"].endswith(("count", "counts"))
    assert site.tenure.calls == []


@pytest.mark.parametrize("action", ["closed", "reopened", "deleted", "transferred"])
@pytest.mark.parametrize("repository", ["acme-vendor/customer", "Acme-Vendor/Customer"])
async def test_what_becomes_of_an_issue_is_told_whatever_the_letters(site: Site, action: str, repository: str) -> None:
    state = "closed" if action == "closed" else "open"
    tree = payload(action, issue=issue(state=state, labels=[]), repository={"full_name": repository})
    assert (await deliver(site, tree)).json()["result"] == "signalled"
    ((_, event),) = site.tenure.of("issue_event")
    assert (event.action, event.state) == (action, {"reopened": "open"}.get(action, action))


async def test_the_label_counts_in_any_letters(site: Site) -> None:
    tree = payload("labeled", issue=issue(labels=[{"name": "Cloud-Trial/Instance-READY"}]))
    assert (await deliver(site, tree)).json()["result"] == "signalled"


async def test_a_program_of_the_team_counts_once_the_settings_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"comment": NAMING["comment"] | {"author_association": "NONE", "user": {"login": "GitHub-Actions[bot]"}}}
    monkeypatch.setenv("TENURE_GITHUB_CLOUD_LOGINS", "someone, github-actions[bot]")
    async with site_in(tmp_path) as site:
        assert (await deliver(site, payload("created", **said), "issue_comment")).json()["result"] == "signalled"


@pytest.mark.parametrize("label_first", [True, False])
async def test_label_and_naming_comment_come_in_either_order(site: Site, label_first: bool) -> None:
    """What a workflow is told always carries the label: on that alone it acts."""
    label = payload("labeled")
    comment = payload("created", issue=issue() if label_first else issue(labels=OPEN), **NAMING)
    for event, tree in [("issues", label), ("issue_comment", comment)][:: 1 if label_first else -1]:
        await deliver(site, tree, event)
    told = [event.host for _, event in site.tenure.of("issue_event")]
    assert told == (["", "acme.cloud.tenure.example"] if label_first else [""])
    assert all(READY_LABEL in event.labels for _, event in site.tenure.of("issue_event"))


@pytest.mark.parametrize(
    ("event", "tree"),
    [
        ("push", {"ref": "refs/heads/main"}),
        ("issues", payload() | {"issue": issue("an issue of somebody else")}),
        ("issues", payload() | {"issue": issue(None)}),
        ("issues", payload() | {"issue": issue("<!-- tenure:nonsense -->")}),
        ("issues", payload() | {"repository": {"full_name": "stranger/customer"}}),
    ],
)
async def test_what_concerns_no_trial_of_ours_is_ignored_and_says_why(site: Site, event: str, tree: dict[str, Any]) -> None:
    answer = await deliver(site, tree, event)
    assert (answer.status_code, answer.json()["result"]) == (202, "ignored")
    assert answer.json()["why"]
    assert site.tenure.calls == []


@pytest.mark.skipif(not SAMPLES.exists(), reason="GitHub's recorded deliveries are not beside this checkout")
@pytest.mark.parametrize("event", ["issues", "issue_comment"])
async def test_githubs_recorded_deliveries_are_read(site: Site, event: str) -> None:
    recorded = json.loads(gzip.decompress(SAMPLES.read_bytes()))[event]
    for nth, tree in enumerate(recorded):
        ours = {**tree, "nth": nth, "issue": {**tree["issue"], "body": MARKER}, "repository": {"full_name": site.settings.github_repo}}
        ready = {**ours, "issue": {**ours["issue"], "labels": [*ours["issue"].get("labels", ()), {"name": READY_LABEL}]}}
        telling = ready | (
            {"action": "labeled"} if event == "issues" else {"action": "created", "comment": tree["comment"] | NAMING["comment"]}
        )
        assert (await deliver(site, telling, event)).json()["result"] == "signalled"
        as_it_came = (await deliver(site, ours, event)).json()
        heard = "signalled" if event == "issues" and tree["action"] in ("reopened", "deleted", "transferred") else "ignored"
        assert (as_it_came["result"], as_it_came["workflow"]) == (heard, "trial-acme.com")  # none was closed, none ready
        assert (await deliver(site, tree, event)).json() == {"result": "ignored", "workflow": "", "why": as_stranger(site)}
    told = [told.issue for _, told in site.tenure.of("issue_event")]
    assert set(told) == {tree["issue"]["number"] for tree in recorded} != set()


def as_stranger(site: Site) -> str:
    return f"our issues are raised in {site.settings.github_repo}"


async def test_a_ping_is_answered(site: Site) -> None:
    assert (await deliver(site, {"zen": "Design for failure."}, "ping")).json()["result"] == "pong"


async def test_an_event_for_an_ended_workflow_is_no_error(site: Site) -> None:
    site.tenure.script.heard = False
    answer = await deliver(site, payload())
    assert (answer.status_code, answer.json()["result"]) == (202, "ignored")


async def test_an_issue_that_is_reopened_after_its_workflow_has_ended_is_asked_about(site: Site) -> None:
    site.tenure.script.heard = False
    answer = (await deliver(site, payload("reopened"))).json()
    assert (answer["result"], answer["workflow"]) == ("signalled", "late-word-7-trial-acme.com")
    assert site.tenure.of("late_word") == [("trial-acme.com", 7)]
    await deliver(site, payload("closed", issue=issue(state="closed", state_reason="not_planned")))  # as we close what is cancelled
    assert len(site.tenure.of("late_word")) == 1


async def test_a_delivery_that_had_its_effect_has_none_again(site: Site) -> None:
    """Neither GitHub's own repetition nor a copy that somebody caught and sends under another id."""
    assert (await deliver(site, payload(), delivery="d-1")).json()["result"] == "signalled"
    other = payload(issue=issue(number=8))
    for tree, delivery in ((payload(), "d-1"), (other, "d-1"), (payload(), "d-2")):
        again = await deliver(site, tree, delivery=delivery)
        assert (again.status_code, again.json()["why"]) == (202, "this delivery was heard before")
    assert len(site.tenure.of("issue_event")) == 1
    assert (await deliver(site, other, delivery="d-3")).json()["result"] == "signalled"


async def test_a_delivery_counts_while_the_ledger_is_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub sends no delivery again by itself; that it may be heard twice changes nothing."""

    def away(*_: object) -> None:
        raise OperationalError("select", {}, Exception("database is locked"))

    for method in ("known", "keep"):
        monkeypatch.setattr(Deliveries, method, away)
    answer = await deliver(site, payload())
    assert (answer.status_code, answer.json()["result"]) == (202, "signalled")
    assert len(site.tenure.of("issue_event")) == 1


async def test_a_delivery_that_failed_may_be_sent_again(site: Site) -> None:
    site.tenure.script.raises["issue_event"] = Unavailable("Temporal does not answer", "")
    assert (await deliver(site, payload(), delivery="d-1")).status_code == 503
    del site.tenure.script.raises["issue_event"]
    assert (await deliver(site, payload(), delivery="d-1")).json()["result"] == "signalled"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"issue": {}}', b"\xff\xfe", b"payload=%7B%7D", b"[" * 100_000, b'{"issue": {"number": 1e999}}']
)
async def test_a_signed_body_that_is_no_delivery_is_refused(site: Site, body: bytes) -> None:
    answer = await deliver(site, body)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert site.tenure.calls == []


async def test_a_body_of_more_than_a_mebibyte_is_refused_and_one_just_below_is_read(site: Site) -> None:
    assert (await deliver(site, b"x" * (1024 * 1024 + 1))).status_code == 413
    big = payload() | {"issue": issue("x" * 1_000_000 + MARKER)}
    assert (await deliver(site, big)).json()["result"] == "signalled"


async def test_when_temporal_does_not_answer_github_is_told_to_try_again(site: Site) -> None:
    site.tenure.script.raises["issue_event"] = Unavailable("Temporal does not answer", "Ask again")
    assert (await deliver(site, payload())).status_code == 503


async def test_a_slow_temporal_does_not_make_github_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_workflow: str, _event: IssueEvent) -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(webhooks, "SIGNAL_SECONDS", 0.05)
    monkeypatch.setattr(site.tenure, "issue_event", never)
    begun = time.monotonic()
    assert (await deliver(site, payload())).status_code == 503
    assert time.monotonic() - begun < 30


def test_the_last_marker_counts_since_customers_words_come_before_it() -> None:
    body = f"customer: <!-- tenure:trial-victim.com/0a1b2c3d.1/request -->\n{MARKER}\n"
    assert workflow_of(body) == "trial-acme.com"
    assert workflow_of("<!-- tenure:domain-change-acme.com-2/0a1b2c3d.1/issue -->") == "domain-change-acme.com-2"
