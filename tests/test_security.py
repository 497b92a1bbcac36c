"""Every test that SECURITY.md names exists; and matrices: every way of one kind against every promise of that kind."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import closing
from copy import copy
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args
from urllib.parse import quote

import pytest
import pytest_asyncio
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.table import Table
from rich.text import Text
from sqlalchemy import select
from starlette.routing import Mount
from temporalio.workflow import _Definition

from activities.github.effects import GitHub, mark_of
from activities.mail.effects import Mailer
from activities.mail.words import NEEDS, TEMPLATES, VALUES, compiled
from activities.pagerduty import PagerDuty
from activities.sheets import Sheets
from activities.slack.effects import Slack
from activities.vitally.effects import Vitally
from domain import policy
from domain.effects.effect import Effect, EffectBatch
from domain.effects.github import Dispatch
from domain.effects.mail import Mail, Template
from domain.effects.sheets import KeepRow
from domain.effects.slack import ArchiveChannel, Post
from domain.effects.vitally import CloseProject, KeepDoc, OpenProject, SetTraits
from domain.markup import bold
from domain.provenance import DECISIONS, PROGRAMS
from domain.rights import Group
from sandbox.app import SERVICES
from sandbox.app import create_app as stand_ins
from sandbox.core import World
from sandbox.server import SandboxServer
from starter import logs, startup
from starter.cli.base import console
from starter.local import stackfile
from starter.local.stack import kept_token
from starter.service.account_queries import csv_rows
from starter.service.connect import WayIn
from starter.service.forms import event_id
from starter.web.authentication import is_guarded
from starter.web.control import Control
from starter.web.links import UNSUBSCRIBE
from starter.web.render import Pages
from store.access import ServiceTokens, sign
from store.ledger import EffectId, Ledger, NotDone
from store.settings import Settings
from store.tables import metadata
from store.tables import vault as vault_table
from store.vault import Vault
from tests.activities.every_effect import do_everything
from tests.activities.test_effect_registry import EFFECTS
from tests.domain.test_markup import active_in_a_line, active_in_markdown, active_in_slack
from tests.starter.web.test_signin import every_route
from tests.starter.web_fakes import CSRF, Site, at, site_in
from workflows.all import ALL
from workflows.frame import provenance

ROOT = Path(__file__).parents[1]
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_every_promise_names_a_test_that_there_is() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) >= 18
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, f"no test stands behind: {row[:80]}"
        for file, test in named:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {test or 'test_'}", source, re.MULTILINE), f"{file} has no {test}"


# --- Event ids are apart: by update, way in and caller, and nobody's to guess -----------------------------------------------------


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as made:
        yield made


SPACE = st.lists(st.text(max_size=20), min_size=1, max_size=6)


@given(SPACE, SPACE, st.text(min_size=1), st.text(min_size=1), st.binary(min_size=1))
def test_an_event_id_is_one_requests_alone(space: list[str], other: list[str], given_id: str, another: str, key: bytes) -> None:
    made = event_id(key, given_id, *space)
    assert made == event_id(key, given_id, *space)
    assert made != given_id
    assert (made == event_id(key, another, *other)) is ((space, given_id) == (other, another))
    assert made != event_id(key + b"x", given_id, *space)
    assert re.fullmatch("[0-9a-f]{40}", made)
    assert event_id(key, "", *space) != event_id(key, "", *space)


async def test_the_same_key_by_another_way_in_caller_action_or_workflow_is_another_event(site: Site) -> None:
    """A stranger's ``Idempotency-Key: opt-out`` is not the event of the unsubscribe link."""
    events: list[str] = []

    def last(name: str) -> str:
        event = str(site.tenure.of(name)[-1][-1])
        events.append(event)
        return event

    keyed = {"Idempotency-Key": "opt-out"}
    for domain in ("acme.com", "globex.com"):
        for act in ("new-link", "extend", "request-feedback"):
            for client, body in ((site.http, {"by": "ce.one@tenure.example"}), (site.signed_in("ce.one@tenure.example"), {})):
                answer = await client.post(f"/api/trials/{domain}/{act}", json=body, headers=keyed)
                assert answer.status_code == 200, answer.text
                first = last("act_on")
                await client.post(f"/api/trials/{domain}/{act}", json=body, headers=keyed)
                assert last("act_on") == events.pop() == first
        await site.plain.post(f"/u/{sign(site.settings.key(), UNSUBSCRIBE, f'trial-{domain}')}")
        last("act_on")
    for email in ("sdr@tenure.example", "sdr.one@tenure.example"):
        form = {"task": "trial-acme.com:triage-1", "event": "opt-out", "choice": "qualified", "csrf": CSRF}
        await site.signed_in(email).post("/console", data=form)
        last("answer")
        await site.signed_in(email).post("/api/tasks/trial-acme.com:triage-1/answer", json={"choice": "qualified"}, headers=keyed)
        last("answer")
    assert len(set(events)) == len(events) == 2 * (3 * 2 + 1) + 2 * 2
    assert not {"opt-out", ""} & set(events)


async def test_no_way_in_of_the_document_hands_on_the_id_that_it_was_given(site: Site) -> None:
    """Each operation that takes an ``Idempotency-Key``, by its own example: what is used is ours, the same once more and another for another.

    Those that take a whole form make the id where they send it on (tests/starter/service/test_tenure.py).
    """
    document = site.app.openapi()
    bodies, tried = document["components"]["schemas"], 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "idempotency-key" not in {each["name"] for each in operation.get("parameters", ())}:
                continue
            ref = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            body = bodies[ref.rpartition("/")[2]]["examples"][0]
            url = at(path)
            used = []
            for named in ("opt-out", "opt-out", "new-link"):
                site.tenure.calls.clear()
                answer = await site.http.request(method, url, json=body, headers={"Idempotency-Key": named})
                assert answer.status_code in (200, 201, 202), (path, answer.text)
                [call] = site.tenure.calls
                used.append(str(call.args[-1]))
            if any(hasattr(form, "event_id") for form in call.args):
                continue
            assert (used[0] == used[1] != used[2], set(used) & {"opt-out", "new-link"}) == (True, set()), path
            tried += 1
    assert tried >= 8


async def test_no_event_id_of_ours_can_be_written_by_hand(site: Site) -> None:
    """Whatever a way in is given, the workflow and the audit get an id that our key made."""
    given_ids = ("opt-out", "new-link-0123456789ab", "adopt-abc-def", "click-1")
    for each in given_ids:
        body = {"by": "ce.one@tenure.example"}
        await site.http.post("/api/trials/acme.com/new-link", json=body, headers={"Idempotency-Key": each})
    used = {str(call[-1]) for call in site.tenure.of("act_on")}
    assert len(used) == len(given_ids)
    assert not used & set(given_ids)
    assert {row.event for row in site.audited() if row.outcome == "accepted"} == used


# --- Strangers' text: every template and every text that goes out × markup of strangers ------------------------------------------

STRANGERS = (
    "<!channel> Acme <https://evil.example|Reset password>",
    "@acme-vendor/cloud [x](https://evil.example) ![x](https://evil.example/i.png)",
    "#12 GH-12 org/repo#1 0a1b2c3d4e5f <!-- tenure:trial-acme.com/0a1b2c3d.1/request --> <img src=https://evil.example/i.png>",
    "*bold* _it_ `code` ~~no~~ @here :tada: www.evil.example",
    "You won, claim at https://evil.example/c",
    "Acme\n```\nce_email: eve@evil.example\n# heading\n> quote\r\nBcc: eve@evil.example",
)
#: What a text effect needs to be carried out; every other field of text is a stranger's.
GIVEN_FIELDS = {
    "do": None,
    "key": None,
    "channel": "growth",
    "name": "cloud-trial-acme",
    "under": "",
    "task": "",
    "issue": 1,
    "reason": None,
    "field": "ce_email",
    "workflow": "create-instance.yml",
    "link": "",
    "severity": None,
    "invite": (),
    "mention": (),
    "labels": (),
    "choices": (("yes", "Yes"),),
    "page": "one",
    "inputs": {"host": "src-1.cloud.tenure.example"},
}


def acts_of(system: str, text: str) -> list[Effect]:
    """One act of each kind of a system, with ``text`` in every field that :data:`GIVEN_FIELDS` does not give; a new one is a stranger's."""
    found = []
    for number, kind in enumerate(EFFECTS[system]):
        values: dict[str, object] = {"key": f"k{number}"}
        for field, about in kind.model_fields.items():
            if field in GIVEN_FIELDS:
                if GIVEN_FIELDS[field] is not None:
                    values[field] = GIVEN_FIELDS[field]
                elif field == "reason" and about.is_required():
                    values[field] = "completed"
            else:
                values[field] = {"customer": text, "ce_email": "TODO"} if field == "fields" else text
        found.append(kind.model_validate(values))
    return found


@pytest.mark.parametrize("text", STRANGERS)
def test_nothing_of_a_stranger_is_active_in_slack(settings: Settings, ledger: Ledger, sandbox: SandboxServer, text: str) -> None:
    acts = acts_of("slack", text)
    card = Post(key="card", channel="growth", text=f"{bold(text)}\n{text}", task="trial-acme.com:triage-1", choices=(("yes", text),))
    posts = [act for act in acts if not isinstance(act, ArchiveChannel)]
    Slack.from_settings(settings, ledger).carry_out(EffectBatch(subject="trial-x/1.1", as_of=NOON, effects=(*posts, card)))
    workspace = sandbox.world.services["slack"]
    shown = [channel.topic for channel in workspace.channels.values() if channel.name == "cloud-trial-acme"]
    for message in next(one for one in workspace.channels.values() if one.name == "growth").messages.values():
        if message.get("metadata", {}).get("event_type") == "tenure":
            shown += [message["text"], *texts_of(message["blocks"])]
    assert len(shown) >= 6
    for each in shown:
        # What bold is left is ours: the heading of a card.
        assert active_in_slack(re.sub(r"(?m)^\*(Choices|[^*\n]+)\*", r"\1", re.sub(r"`(yes|tenure answer [^`]*)`", "", each))) == [], each
    verbatim = [block["text"]["verbatim"] for block in message["blocks"] if block["type"] == "section"]
    assert all(verbatim)


def texts_of(blocks: list[dict[str, Any]]) -> list[str]:
    """Every text that the blocks show."""
    return [part["text"] for block in blocks for part in ([block["text"]] if "text" in block else block["elements"])]


@pytest.mark.parametrize("text", STRANGERS)
def test_nothing_of_a_stranger_is_active_in_github(settings: Settings, ledger: Ledger, sandbox: SandboxServer, text: str) -> None:
    acts = [act for act in acts_of("github", text) if not isinstance(act, Dispatch)]
    with closing(GitHub.from_settings(settings, ledger)) as github:
        github.carry_out(EffectBatch(subject="trial-x/1.1", as_of=NOON, effects=tuple(acts)))
    [issue] = [one for repo in sandbox.world.services["github"].hub.repos.values() for one in repo.issues.values()]
    assert active_in_a_line(issue.title.replace("&", "")) == []
    assert mark_of(issue.body) == "trial-x/1.1/k0"
    for body in (issue.body or "", *(comment.body for comment in issue.comments)):
        assert body.count("<!-- tenure:") == 1
        words = re.sub(r"<!-- tenure:trial-x/1\.1/k\d -->$", "", body)
        block = re.findall(r"(?ms)^```\n.*?^```$", words)
        assert active_in_markdown(re.sub(r"(?ms)^```\n.*?^```$", "", words)) == []
        assert all(re.fullmatch(r"```\n(customer: .*\nce_email: .*\n)```", each) for each in block)
    assert len(issue.comments) == 2


@pytest.mark.parametrize("text", STRANGERS)
def test_nothing_of_a_stranger_is_active_in_a_page(settings: Settings, ledger: Ledger, sandbox: SandboxServer, text: str) -> None:
    with closing(PagerDuty(settings, ledger)) as pager:
        pager.carry_out(EffectBatch(subject="trial-x/1.1", as_of=NOON, effects=tuple(acts_of("pagerduty", text))))
    [incident] = sandbox.world.services["pagerduty"].incidents
    assert active_in_a_line(incident.summary.replace("&", "")) == []


#: The values of a mail that nobody types; every other one, and a new one, is a stranger's.
OURS = dict.fromkeys(("host", "new_host", "old_host"), "acme.cloud.tenure.example") | {
    "days_left": "5",
    "event_id": "0a1b2c3d",
    "joiner": "eve@acme.com",
    "trial_ends_on": "15 December 2026",
}


@pytest.mark.parametrize("text", STRANGERS)
@pytest.mark.parametrize("template", get_args(Template))
def test_nothing_of_a_stranger_is_active_in_a_mail(settings: Settings, ledger: Ledger, template: Template, text: str) -> None:
    values = {name: OURS.get(name, text) for name in VALUES}
    act = Mail(
        key="m", template=template, to="ada@acme.com", to_name=text, link="vault-1", sender=(text, "ce@tenure.example"), values=values
    )
    sent = Mailer.from_settings(settings, ledger).compose(act, EffectId("trial-x/1.1", "m"))
    body = [str(part.get_content()) for part in sent.walk() if not part.is_multipart()]
    heads = [str(sent["Subject"]), sent["To"].addresses[0].display_name, sent["From"].addresses[0].display_name]
    assert [str(address) for address in sent["To"].addresses] == [str(sent["To"].addresses[0])]
    assert sent["To"].addresses[0].addr_spec == "ada@acme.com"
    assert sent["Bcc"] is None
    for shown in (*heads, *body):
        assert not re.search(r"evil\.example|<img|<!channel|<!-- ", shown.replace("<!doctype", "")), shown
    assert "\n" not in heads[0]


@pytest.mark.parametrize("text", STRANGERS)
def test_nothing_of_a_stranger_is_active_in_vitally(settings: Settings, ledger: Ledger, sandbox: SandboxServer, text: str) -> None:
    """A note is HTML; whatever else is shown there is text."""
    acts = [
        KeepDoc(key="doc", account="acme.com", doc="assessment", title=text, lines=(text, text)),
        SetTraits(key="traits", account="acme.com", traits={"Pulse": text}),
        OpenProject(key="project", account="acme.com", template="Account Save Plan", name=text),
        CloseProject(key="project.close", account="acme.com", project="project", why=text),
    ]
    assert {type(act) for act in acts} == set(EFFECTS["vitally"])
    with closing(Vitally(settings, ledger)) as vitally:
        vitally.carry_out(EffectBatch(subject="trial-x/1.1", as_of=NOON, effects=tuple(acts)))
    [note] = sandbox.world.services["vitally"].notes("acme.com")
    assert re.sub(r"</?p>", "", note["note"]).count("<") == 0
    assert unescape(re.sub(r"</?p>", "", note["note"])) == text * 2


FORMULAS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "＝1", "＠SUM(A1)", '=cmd|" /C calc"!A0')


@pytest.mark.parametrize("text", [*STRANGERS, *FORMULAS])
def test_nothing_of_a_stranger_is_a_formula(settings: Settings, ledger: Ledger, sandbox: SandboxServer, text: str) -> None:
    """In the tracker a cell is the text itself; in a table for other programs it begins as none."""
    with closing(Sheets(settings, ledger)) as sheets:
        sheets.carry_out(
            EffectBatch(subject="red-x/1.1", as_of=NOON, effects=(KeepRow(key="row", row="acme.com", cells={"Account": text}),))
        )
    [row] = sandbox.world.services["sheets"].records()
    assert row["Account"] == text
    forecast: Any = SimpleNamespace(lines=())
    [names] = csv_rows(forecast)
    forecast.lines = [SimpleNamespace(**dict.fromkeys([*names, "name"], text))]
    _, cells = csv_rows(forecast)
    assert [cell for cell in cells if cell[0] in "=+-@\t\r\n＝＋－＠"] == []


@pytest.mark.parametrize(
    "text", [*STRANGERS, "Acme\x1b]0;evil\x07\x1b[2J", "\x9b31mAcme\x08\x08", "\u202eemca", "\x1b]8;;https://evil.example\x1b\\x"]
)
def test_nothing_of_a_stranger_is_an_order_to_a_terminal(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = Table.grid()
    table.add_row(Text(text), text.replace("[", ""))
    for stderr in (False, True):
        page = console(stderr=stderr)
        page.print(table)
        page.print(Text(text), soft_wrap=True)
        page.print(text, markup=False)
    shown = "".join(capsys.readouterr())
    assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown) == []
    assert "Acme" in shown or "emca" in shown or "Acme" not in text


#: Systems that show what they are given as it stands, in fields of records.
PLAIN = {"salesforce", "instance", "licensing"}


def test_every_system_that_texts_go_to_is_tried() -> None:
    tried = {name.rpartition("_in_")[2] for name in globals() if name.startswith("test_nothing_of_a_stranger_is_active_in_")}
    of = {"a_page": "pagerduty", "a_mail": "mail"}
    assert {of.get(name, name) for name in tried} | {"sheets"} | PLAIN == set(EFFECTS)


def test_every_template_of_ours_escapes_what_it_is_given(settings: Settings) -> None:
    """Mails in HTML and our pages, each file of the folders: none turns the escaping off, and no value stands where it would not be enough."""
    escapes: Any = compiled(TEMPLATES).autoescape
    for folder in (TEMPLATES, ROOT / "starter" / "web" / "templates"):
        files = [file for file in folder.iterdir() if ".html" in file.name]
        assert len(files) > 10
        for file in files:
            source = file.read_text(encoding="utf-8")
            assert not re.search(r"\|\s*safe\b|autoescape|<script|\son\w+\s*=|\s[\w-]+=\{\{|javascript:", source), file
    assert Pages(settings, policy.default())._env.autoescape is True
    assert {file.name for file in TEMPLATES.iterdir() if ".html" in file.name and not escapes(file.name)} == set()
    assert {file.name.partition(".")[0] for file in TEMPLATES.iterdir()} == {*get_args(Template), "base", "parts"}


def test_every_summary_and_every_detail_of_a_workflow_passes_the_one_place() -> None:
    """The interceptors have every activity, child and start; timers and details are set in one file, and pass :mod:`domain.markup` there."""
    the_one = ROOT / "workflows" / "frame" / "process.py"
    for file in (ROOT / "workflows").rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        for name in ("set_current_details", "timeout_summary"):
            assert (name in source) == (file == the_one), f"{file} sets {name} by itself"
    process = the_one.read_text(encoding="utf-8")
    assert "set_current_details(markup.markdown(" in process
    assert "timeout_summary=markup.summary(" in process


async def test_what_operators_read_beside_a_start_is_inert() -> None:
    """By the workers' and the clients' interceptors, which every process of ours has."""
    seen: list[str | None] = []

    class Next:
        def start_activity(self, input: Any) -> None:
            seen.append(input.summary)

        start_local_activity = start_activity

        async def start_child_workflow(self, input: Any) -> None:
            seen.append(input.static_summary)

        start_workflow = start_child_workflow

        async def start_update_with_start_workflow(self, input: Any) -> None:
            seen.append(input.start_workflow_input.static_summary)

    for text in STRANGERS:
        given: Any = SimpleNamespace(summary=text, static_summary=text, headers={}, start_signal=None, id="trial-x")
        given.update_workflow_input = SimpleNamespace(headers={}, update="signup", args=[], update_id="")
        given.start_workflow_input = given
        inside = provenance.Outbound(Next(), b"key")  # type: ignore[arg-type]
        outside = WayIn(lambda: b"key").intercept_client(Next())  # type: ignore[arg-type]
        inside.start_activity(copy(given))
        inside.start_local_activity(copy(given))
        await inside.start_child_workflow(copy(given))
        await outside.start_workflow(copy(given))
        update = copy(given)
        update.start_workflow_input = copy(given)
        await outside.start_update_with_start_workflow(update)
    assert len(seen) == 5 * len(STRANGERS)
    assert [active_in_a_line((each or "").replace("&", "")) for each in seen] == [[]] * len(seen)


# --- Redirects never follow the host that a request names ---------------------------------------------------------------------------

HOSTS = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "Forwarded": "host=evil.example;proto=https",
}


async def test_no_redirect_of_any_route_follows_host(tmp_path: Path) -> None:
    """Every route, as it is and with a slash more or less, signed in and not, with every header by which a host is named.

    The layer that refuses foreign names is told to let this one in, so that what stands behind it is tried.
    """
    async with site_in(tmp_path, allowed_hosts="evil.example") as site:
        await _no_redirect_follows_host(site)


async def _no_redirect_follows_host(site: Site) -> None:
    paths = {at(path) for _, path in every_route(site.app.routes)}
    redirects = 0
    for path in {*paths, *(f"{path}/" for path in paths), *(path.rstrip("/") or "/" for path in paths), "//evil.example/", "/\u20ac/"}:
        for browser in (site.plain, site.signed_in("ce@tenure.example")):
            for method in ("GET", "POST"):
                url = browser.base_url.copy_with(raw_path=quote(path).encode())
                answer = await browser.request(method, url, headers={**HOSTS, "Accept": "text/html"})
                to = answer.headers.get("location")
                assert answer.status_code != 500, path
                if to is None:
                    continue
                redirects += 1
                assert (to.startswith("/") and not to.startswith("//")) or to.startswith(f"{site.settings.oidc_url}/"), (path, to)
                assert "evil.example" not in to, (path, to)
    assert redirects > 20


# --- Host names: every service answers to its own only -------------------------------------------------------------------------------

FOREIGN = [
    "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "testserver.evil.example", "eviltestserver",
    "testserver@evil.example", "evil.example#testserver", "testserver,evil.example", "testserver evil.example", "localhost.", "", "[::2]",
    "[::1]evil.example", "[::1].evil.example", "0.0.0.0", "127.0.0.1:", "127.0.0.1:99999999", "2130706433", "\u0130.example", "testserver/..", "%31%32%37.0.0.1",
]  # fmt: skip
OWN = ["testserver", "TestServer", "testserver:8080", "127.0.0.1", "127.0.0.1:8233", "localhost", "localhost:80", "[::1]", "[::1]:8080"]


async def answered(app: Any, method: str, path: str, hosts: list[str]) -> tuple[int, bytes]:
    """What an application answers to a request with these Host headers, which no client library would send."""
    headers = [(b"host", host.encode()) for host in hosts] + [(b"origin", b"http://127.0.0.1:8233"), (b"accept", b"*/*")]
    path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
    }
    scope |= {
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("x", 80),
    }
    sent: list[Any] = []
    given = iter([{"type": "http.request", "body": b"{}", "more_body": False}])

    async def receive() -> Any:
        return next(given, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def every_path(site: Site) -> set[tuple[str, str]]:
    """Each route of the web process, the codec's and a file's and one that there is not among them."""
    values = {"domain": "acme.com", "id": "trial-acme.com:triage-1", "token": "t"}
    named = {
        (method, re.sub(r"{(\w+)(:\w+)?}", lambda found: values.get(found[1], "x"), path)) for method, path in every_route(site.app.routes)
    }
    mounted = {("GET", f"{route.path}/x") for route in site.app.routes if isinstance(route, Mount)}
    assert mounted
    return (
        named
        | mounted
        | {
            ("POST", "/codec/decode"),
            ("OPTIONS", "/codec/decode"),
            ("GET", "/static/site.css"),
            ("GET", "/none"),
            ("GET", "/openapi.json"),
        }
    )


async def test_the_web_answers_to_no_foreign_name(site: Site) -> None:
    paths = every_path(site)
    assert len(paths) > 30
    for method, path in paths:
        for hosts in (["evil.example"], [], ["testserver", "evil.example"], ["testserver", "testserver"]):
            status, body = await answered(site.app, method, path, hosts)
            assert (status, b"TENURE_WEB_URL" in body) == (421, True), (method, path, hosts)
    for host in FOREIGN:
        for method, path in (("GET", "/healthz"), ("POST", "/api/signups"), ("POST", "/codec/decode"), ("GET", "/")):
            assert (await answered(site.app, method, path, [host]))[0] == 421, (path, host)
    assert site.tenure.calls == []


@pytest.mark.parametrize("host", OWN)
async def test_the_web_answers_to_its_own_names(site: Site, host: str) -> None:
    for method, path in every_path(site):
        assert (await answered(site.app, method, path, [host]))[0] != 421, (method, path)


async def test_a_further_name_must_be_allowed(tmp_path: Path) -> None:
    async with site_in(tmp_path, allowed_hosts="web, tenure.internal", web_url="https://Tenure.real.example:8443/x") as site:
        for host in ("web:8080", "tenure.internal", "tenure.real.example", "tenure.real.example:8443"):
            assert (await answered(site.app, "GET", "/sign-in", [host]))[0] == 200, host
        for host in ("testserver", "internal", "real.example", "x.web"):
            assert (await answered(site.app, "GET", "/sign-in", [host]))[0] == 421, host


async def test_the_control_port_answers_to_no_foreign_name(tmp_path: Path) -> None:
    """A cluster asks by an address, which no page can make its own name."""
    async with site_in(tmp_path, allowed_hosts="worker") as site:
        app = Control(site.settings).app()
        for method, path in (("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/drain"), ("GET", "/none")):
            for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "2130706433", "[::1].evil.example"):
                assert (await answered(app, method, path, [host]))[0] == 421, (path, host)
            assert (await answered(app, method, path, ["127.0.0.1", "evil.example"]))[0] == 421, path
        for host in ("127.0.0.1:9464", "10.9.9.9:9464", "[fd00::1]:9464", "localhost", "worker:9464", "testserver"):
            assert (await answered(app, "GET", "/readyz", [host]))[0] == 503, host
        assert (await answered(app, "GET", "/livez", ["evil.example"]))[0] == 200


async def test_the_stand_ins_answer_to_no_foreign_name() -> None:
    world = World()  # of its own: an application takes over the services of its world
    world.hosts, world.browser_url = ("sandbox",), "http://stand-ins.example:8900"
    app = stand_ins(world)
    paths = ["/", "/healthz", "/_sandbox/log", "/_sandbox/people", "/none", *(f"/{name}" for name in SERVICES), "/instances/_control/x"]
    for path in paths:
        for host in ("evil.example", "", "127.0.0.1.evil.example", "sandbox.evil.example", "stand-ins.example.evil.example"):
            status, body = await answered(app, "GET", path, [host])
            assert (status, b"--hosts" in body) == (421, True), (path, host)
        assert (await answered(app, "GET", path, ["127.0.0.1", "evil.example"]))[0] == 421
        for host in ("127.0.0.1:8900", "localhost", "[::1]:1", "sandbox:8900", "stand-ins.example"):
            assert (await answered(app, "GET", path, [host]))[0] != 421, (path, host)


# --- File modes: every file that is written, whatever the umask ------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_every_file_of_the_data_directory_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """By the parts themselves, without an entry point that sets the umask; a whole stack is looked at in tests/starter/local/test_stack.py."""
    data = tmp_path / "data"
    before = os.umask(umask)
    try:
        settings = Settings(_env_file=None, data_dir=data)
        ledger = Ledger(settings.ledger_url)
        ledger.create()
        settings.key(), settings.codec_secret()
        settings.payload_ring().rotate()
        kept_token(settings, data)
        with stackfile.holding(data):
            stackfile.write(data, stackfile.StackFile(1, 0, "", "", "", "", ""))
            for name in ("temporal.db", "temporal.db-wal", "sandbox.state", "warehouse.duckdb", "logs/web.log"):  # other programs'
                (data / name).parent.mkdir(exist_ok=True)
                (data / name).touch()
            startup.check(settings)
            ledger.create()
            found = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in data.rglob("*")}
        ledger.close()
    finally:
        os.umask(before)
    assert len(found) >= 15
    assert {name: mode for name, mode in found.items() if mode & 0o077} == {}
    assert data.stat().st_mode & 0o777 == 0o700


# --- Every public route × limits ---------------------------------------------------------------------------------------------------


def public_routes(app: FastAPI) -> list[tuple[str, str]]:
    """What may be asked without anybody being signed in, read from the application itself."""
    found = {(method, re.sub(r"\{[^}]+\}", "x", path)) for method, path in every_route(app.routes)}
    return sorted(each for each in found if each[0] != "HEAD" and not is_guarded(*each))


@pytest.mark.parametrize("allowed", [3])
async def test_every_public_route_is_limited_by_who_asks(tmp_path: Path, allowed: int) -> None:
    """By the layer in front of them all, so that a route of tomorrow is limited as well; each answers 429 and says when to come again."""
    async with site_in(tmp_path, requests_per_address=f"{allowed}/minute", trusted_proxies="127.0.0.0/8") as site:
        routes = public_routes(site.app)
        assert {("POST", "/"), ("GET", "/s/x"), ("POST", "/s/x/new"), ("POST", "/feedback/x"), ("POST", "/u/x"), ("POST", "/join")} <= set(
            routes
        )
        assert {("POST", "/api/signups"), ("POST", "/api/joins"), ("GET", "/auth/callback"), ("GET", "/healthz")} <= set(routes)
        for number, (method, path) in enumerate(routes):
            headers = {"X-Forwarded-For": f"198.51.100.{number}"}
            answers = [await site.plain.request(method, path, headers=headers) for _ in range(allowed + 1)]
            assert 429 not in [answer.status_code for answer in answers[:-1]], (method, path)
            assert (answers[-1].status_code, int(answers[-1].headers["Retry-After"]) > 0) == (429, True), (method, path)


async def test_a_flood_never_hides_whether_we_are_ready(tmp_path: Path) -> None:
    """An orchestrator may come by the address of the proxy in front, as everybody does: it is counted apart."""
    async with site_in(tmp_path, requests_per_address="3/minute") as site:
        assert [(await site.plain.get("/")).status_code for _ in range(5)][-1] == 429
        for path in ("/livez", "/readyz", "/healthz"):
            assert (await site.plain.get(path)).status_code in (200, 503), path


async def test_whoever_nobody_knows_is_heard_no_more_for_a_while_and_who_is_known_goes_on(tmp_path: Path) -> None:
    """Every guarded route, and the codec, by whatever is tried as a token; an address that never was mistaken is let in."""
    async with site_in(tmp_path, requests_per_address="3/minute", trusted_proxies="127.0.0.0/8") as site:
        guarded = {(method, re.sub(r"\{[^}]+\}", "x", path)) for method, path in every_route(site.app.routes)} - set(
            public_routes(site.app)
        )
        asked = [each for each in guarded if each[0] not in ("HEAD", "OPTIONS") and is_guarded(*each)] + [("POST", "/codec/decode")]
        assert len(asked) > 12
        for number, (method, path) in enumerate(sorted(asked)):
            headers = {"X-Forwarded-For": f"198.51.100.{number}", "Authorization": "Bearer none-of-ours"}
            answers = [await site.plain.request(method, path, headers=headers) for _ in range(5)]
            assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429], (method, path)
            assert int(answers[-1].headers["Retry-After"]) > 0
        known = [await site.http.get("/api/trials", headers={"X-Forwarded-For": "203.0.113.1"}) for _ in range(6)]
        assert {answer.status_code for answer in known} == {200}


#: The public routes that change something, and where each takes the mailbox from that gets a mail of it; None: no mail comes of it.
MAILBOX: dict[tuple[str, str], str | None] = {
    ("POST", "/"): "form",
    ("POST", "/join"): "form",
    ("POST", "/api/signups"): "json",
    ("POST", "/api/signups/failed"): "json",
    ("POST", "/api/joins"): "json",
    ("POST", "/s/x/new"): "form",
    ("POST", "/s/x"): None,
    ("POST", "/u/x"): None,
    ("POST", "/feedback/x"): None,
    ("POST", "/sign-out"): None,
    ("POST", "/webhooks/github"): None,
}


async def test_nobody_can_have_many_mails_sent_to_one_mailbox(tmp_path: Path) -> None:
    """Whoever asks, from however many addresses, in however many spellings: the mailbox is what is counted."""
    spelt = ("v.ictim@gmail.com", "victim+a@gmail.com", "VICTIM@googlemail.com", "vi.ct.im+b@gmail.com")
    for number, ((method, path), kind) in enumerate(MAILBOX.items()):
        if kind is None:
            continue
        folder = tmp_path / str(number)
        async with site_in(folder, forms_per_mailbox="3/hour", trusted_proxies="127.0.0.0/8") as site:
            assert {route for route in public_routes(site.app) if route[0] != "GET"} == set(MAILBOX)
            for turn, email in enumerate(spelt):
                form = {"email": email, "first_name": "Dana", "last_name": "Reyes", "company": "Acme", "error": "it broke"}
                sent = {name: form[name] for name in {"/api/joins": ["email"], "/api/signups": ["email", "company"]}.get(path, form)}
                body: dict[str, Any] = {kind if kind == "json" else "data": sent}
                answer = await site.plain.request(method, path, headers={"X-Forwarded-For": f"198.51.100.{turn}"}, **body)
                assert (answer.status_code == 429) == (turn == 3), (path, email, answer.status_code)


@pytest.mark.parametrize("path", ["/", "/api/signups"])
async def test_more_signups_than_we_take_are_kept_whoever_they_are_of(tmp_path: Path, path: str) -> None:
    """503 with Retry-After, by the form and by the API; each is on record for support and is told so."""
    async with site_in(tmp_path, signups_together="2/minute", trusted_proxies="127.0.0.0/8") as site:
        for turn in range(4):
            form = {"email": f"dana@acme{turn}.com", "first_name": "Dana", "last_name": "Reyes", "company": "Acme"}
            body: dict[str, Any] = {"json" if path.startswith("/api") else "data": form}
            answer = await site.plain.post(path, headers={"X-Forwarded-For": f"198.51.100.{turn}"}, **body)
            assert answer.status_code in ((200, 201) if turn < 2 else (503,))
            if turn >= 2:
                assert int(answer.headers["Retry-After"]) > 0
                assert "not lost" in answer.text
        assert [form.email for form, _ in site.tenure.of("failed_signup")] == ["dana@acme2.com", "dana@acme3.com"]
        refused = await site.plain.post("/api/signups", json={"email": "no address", "company": "Acme"})
        assert refused.status_code == 422


# --- What reaches Temporal past every way in ----------------------------------------------------------------------------------------


def test_every_message_of_every_workflow_is_a_decision_or_named_as_none() -> None:
    definitions = [definition for each in ALL if (definition := _Definition.from_class(each)) is not None]
    names = {name for each in definitions for name in (*each.signals, *each.updates) if name}
    assert len(definitions) == len(ALL)
    assert names == DECISIONS | PROGRAMS
    assert not DECISIONS & PROGRAMS


def test_every_update_has_a_validator_which_is_where_its_mark_is_compared() -> None:
    for each in ALL:
        definition = _Definition.from_class(each)
        assert definition is not None
        assert [name for name, update in definition.updates.items() if update.validator is None] == []


# --- The link to an instance: to its admin alone, and no working secret at rest ---------------------------------------------------------


@pytest.mark.parametrize("template", get_args(Template))
def test_no_mail_with_a_link_goes_to_anybody_but_the_admin(settings: Settings, ledger: Ledger, template: Template) -> None:
    """Whatever the template: one that has a link is refused with anybody in copy, and what others get has none."""
    mailer, effect = Mailer(settings, ledger), EffectId("trial-acme.example/12345678.1", "mail")
    values = dict.fromkeys(VALUES, "x") | {"host": "a.cloud.tenure.example", "new_host": "b.example", "old_host": "a.example"}
    mail = Mail(key="mail", template=template, to="ada@acme.example", values=values, link="trial-acme.example", link_hours=24)
    for others in ({"cc": ("ae@tenure.example",)}, {"copy_of": "bo@acme.example"}):
        with pytest.raises(NotDone, match="is for the admin alone"):
            mailer.compose(mail.model_copy(update=others), effect)
    copied = mail.model_copy(update={"link": "", "copy_of": "ada@acme.example", "cc": ("ae@tenure.example",)})
    message = mailer.compose(copied, effect)
    parts = [part.get_content() for part in message.walk() if not part.is_multipart()]
    assert len(parts) == 2
    assert not any("/s/" in part or "password-reset" in part for part in parts)


def at_rest(ledger: Ledger, folder: Path, logged: str) -> dict[str, bytes]:
    """Every column of every table, every file of the data directory, and what was logged, by name."""
    found = {"the log": logged.encode()}
    with ledger.reading() as db:
        for table in metadata.sorted_tables:
            for row in db.execute(select(table)):
                for name, value in row._mapping.items():
                    where = f"{table.name}.{name}"
                    found[where] = found.get(where, b"") + (value if isinstance(value, bytes) else str(value).encode()) + b"\n"
    return found | {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


#: Files that are a secret of ours themselves, for their owner alone.
KEPT = {"codec.token", "ops.token", "payload.keys", "secret.key"}


#: Tables that this test leaves empty, and what comes there: it has passed no place that knows a secret.
NOTHING_SECRET = dict.fromkeys(
    (
        "accounts", "customers", "forecasts", "hand_traits", "health", "health_changes", "health_news", "renewals", "roster", "assignments",
    ),
    "the CRM's, Vitally's and the instances' facts, and what follows from them",
) | {
    "decisions": "what was decided by which rule, from which inputs: facts that workflows know; they know no secret",
    "policies": "the figures of the policy file",
    "processes": "where each workflow stands, in its own words",
    "tasks": "what a workflow asks of whom",
    "audit": "who did what; a token by its name (tests/store/test_audit.py)",
    "audit_head": "its length and hash",
    "deliveries": "ids of what GitHub sent",
    "ended_sessions": "ids of sessions that are over; the cookie that had one is refused",
    "failed_signups": "what a prospect typed",
    "feedback": "what a prospect typed",
    "holds": "which system said wait, until when",
    "people": "names by the keys of the ring",
    "readiness": "a moment",
    "suppressions": "whose trial gets no more mail, and why",
    "turns": "whose turn it is at the tracker",
    "waiting": "who waits for room",
}  # fmt: skip


def test_no_working_secret_is_at_rest(
    settings: Settings, ledger: Ledger, sandbox: SandboxServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every secret that we give away × every place at rest: nothing that is read there opens anything."""
    caplog.set_level("INFO")  # as our processes log
    do_everything(settings, ledger, sandbox)
    vault, mailer = Vault(ledger, settings.key()), Mailer(settings, ledger)
    subject = "trial-acme.example/12345678.1"
    values = dict.fromkeys(VALUES, "x") | {"host": "a.cloud.tenure.example"}
    linked = {"link": "trial-acme.example", "link_hours": 24}
    acts = tuple(
        Mail(
            key=f"mail.{name}",
            template=name,
            to="ada@acme.example",
            values=values,
            campaign="link" not in NEEDS[name],
            **(linked if "link" in NEEDS[name] else {}),
        )
        for name in get_args(Template)
    )
    receipts = mailer.carry_out(EffectBatch(subject=subject, as_of=NOON, effects=acts))
    sent = "".join(mail.text for mail in sandbox.world.services["smtp"].to("ada@acme.example"))
    found_links = set(re.findall(rf"{re.escape(settings.web_url)}/([\w/-]+)/([\w.-]{{20,}})", sent))  # whatever way they lead to
    secrets = {f"{way} link {number}": token for number, (way, token) in enumerate(sorted(found_links))}
    assert {name.partition(" ")[0] for name in secrets} == {"s", "u", "feedback"}
    with ledger.reading() as db:
        refs = {row.ref: row.kind for row in db.execute(select(vault_table.c.ref, vault_table.c.kind))}
    assert set(refs.values()) == {"reset_link", "license_key"}
    secrets |= {ref: vault.get(ref) for ref in refs}
    secrets["service token"] = ServiceTokens(ledger).create("reports", role=Group.OPS)
    secrets["codec token"] = settings.codec_secret()
    secrets |= {
        "our key": settings.key(),
        **{f"of the ring {n}": key.text().partition(":")[2] for n, key in enumerate(settings.payload_ring().keys)},
    }
    settings_of_secrets = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]
    assert len(settings_of_secrets) > 10
    secrets |= {name: value for name in settings_of_secrets if (value := getattr(settings, name).get_secret_value())}
    places = at_rest(ledger, tmp_path, logs.masked(caplog.text))
    assert {"effects.receipt", "vault.value", "share_links.token_hash", "service_tokens.hash", "ledger.db", "the log"} <= places.keys()
    empty = {table.name for table in metadata.sorted_tables} - {place.partition(".")[0] for place in places}
    assert sorted(empty) == sorted(NOTHING_SECRET), "a new table: have something written to it here, or say why no secret comes there"
    found = {
        (name, place) for name, secret in secrets.items() for place, held in places.items() if secret.encode() in held and place not in KEPT
    }
    assert found == set()
    assert not any(secret in receipts.model_dump_json() for secret in secrets.values())
    assert all(secret in sent for name, secret in secrets.items() if " link " in name), "the search is not blind"
