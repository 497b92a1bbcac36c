"""What a run has left behind, and what must be true of it.

Three looks that know nothing of each other: the ledger (which effects are on record), the stand-ins' own log (what the outside systems
have seen), and Temporal's histories. Two runs of one script are compared by what is the same in both: names without the ids that a
server gives, and whose they are.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client

from starter.local.demo.company import Company
from store.ledger import EffectRow
from tests.workflows.play import TOO_BUSY, UNHANDLED

Entry = Mapping[str, Any]

#: What an outside system gives one of, ever: by its own mark of which one it is. A second entry with that mark is a duplicate.
ONCE: dict[tuple[str, str], Callable[[Mapping[str, Any]], object]] = {
    ("slack", "message.posted"): lambda data: (data.get("metadata") or {}).get("event_payload", {}).get("key"),
    ("slack", "channel.created"): lambda data: data["channel_name"],
    ("slack", "channel.archived"): lambda data: data["channel"],
    ("smtp", "mail.accepted"): lambda data: data["message_id"],
    ("github", "issue.created"): lambda data: (data["title"], data.get("marker")),
    ("github", "comment.created"): lambda data: _marker(data["body"]),
    ("github", "issue.closed"): lambda data: (data["repo"], data["issue"]),
    ("github", "workflow.dispatched"): lambda data: data["inputs"].get("request"),
    ("salesforce", "lead.created"): lambda data: data["fields"].get("Tenure_Key__c"),
    ("salesforce", "lead.converted"): lambda data: data["fields"]["leadId"],
    ("salesforce", "campaign_member.created"): lambda data: (data["fields"]["CampaignId"], data["fields"]["LeadId"]),
    ("instances", "user.created"): lambda data: (data["host"], data["username"]),
    ("licensing", "license.created"): lambda data: next((tag for tag in data["tags"] if tag.startswith("tenure:")), None),
    ("licensing", "user.created"): lambda data: data["username"],
    ("pagerduty", "incident.triggered"): lambda data: data["dedup_key"],
    ("pagerduty", "incident.resolved"): lambda data: data["dedup_key"],
    ("vitally", "project.created"): lambda data: (data.get("account"), data["name"]),
    ("vitally", "note.created"): lambda data: data.get("externalId"),
}


#: A reset link whose answer was lost is known to nobody, so another is made, and the one before stops working.
AGAIN = {("instances", "password.randomized")}

#: What the script itself does at the issue #1, whosever that is; and that a signup was rescued which came too late for the form.
NOBODYS = re.compile(r"\b(?:upkeep-comment|rescue-[0-9a-f]{12})/")


def _marker(text: str) -> str | None:
    found = re.search(r"<!-- tenure:(\S+) -->", text)
    return found[1] if found else None


def duplicates(log: Iterable[Entry], tries: Mapping[str, int] | None = None) -> list[str]:
    """What the outside systems have seen twice, by their own marks.

    SMTP cannot be asked what it took, so a mail whose try was cut off is handed over again under the same Message-ID. ``tries`` says how
    often each was begun; what was handed over more often than that is a duplicate like any other.
    """
    seen: Counter[tuple[str, str, object]] = Counter()
    for entry in log:
        name = ONCE.get((entry["service"], entry["act"]))
        mark = name(entry["data"]) if name else None
        if mark is not None:
            seen[entry["service"], entry["act"], mark] += 1
    allowed: dict[tuple[str, str, object], int] = {("smtp", "mail.accepted", mark): count for mark, count in (tries or {}).items()}
    more = {key: count for key, count in seen.items() if count > allowed.get(key, 1)}
    return [f"{service} {act} {mark}: {count} times" for (service, act, mark), count in sorted(more.items(), key=str)]


def once_each(log: Iterable[Entry]) -> tuple[list[Entry], int]:
    """The log with each mail once, and how many were handed over again under the same Message-ID."""
    kept: list[Entry] = []
    known, again = set[str](), 0
    for entry in log:
        if entry["act"] == "mail.accepted" and entry["data"]["message_id"] in known:
            again += 1
            continue
        if entry["act"] == "mail.accepted":
            known.add(entry["data"]["message_id"])
        kept.append(entry)
    return kept, again


# --- whose an entry is ---------------------------------------------------------------------------------------------------------------------

#: Ids in an entry that name one company's things: records of the CRM, hosts, channels, subscriptions.
_IDS = re.compile(r"\b(?:00Q|006|001|003|00v)[0-9A-Za-z]{15}\b|\bsrc-[0-9a-f]{8}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{22}\b")
_COMMON = {"github", "cloud"}


def whose(log: Sequence[Entry], names: Mapping[str, str]) -> dict[int, str]:
    """Whose each entry is, by its number; ``names`` are the companies by what they are called.

    An entry that names a company makes the ids in it that company's; the others follow. What names two is nobody's.
    """
    owner_of: dict[str, str] = {}
    found: dict[int, str] = {}
    patterns = {name: re.compile(rf"(?<![a-z]){re.escape(name)}(?![a-z])", re.IGNORECASE) for name in names}
    texts = {entry["number"]: json.dumps([entry["what"], entry["data"]]) for entry in log}
    for _ in range(3):
        for entry in log:
            number, text = entry["number"], texts[entry["number"]]
            mine = {*_IDS.findall(text)}
            if entry["service"] in _COMMON and "issue" in entry["data"]:
                mine.add(f"issue {entry['data']['issue']}")
            if number not in found:
                named = {names[name] for name, pattern in patterns.items() if pattern.search(text)}
                named = named or {owner_of[each] for each in mine if each in owner_of}
                if len(named) == 1:
                    [found[number]] = named
            if number in found:
                for each in mine:
                    owner_of.setdefault(each, found[number])
    return found


def seen(log: Sequence[Entry], names: Mapping[str, str]) -> Counter[tuple[str, str, str]]:
    """How often each company's things were changed, by company, system and act. What replaces itself may be done again."""
    owners = whose(log, names)
    log = [entry for entry in log if (entry["service"], entry["act"]) not in AGAIN and not NOBODYS.search(json.dumps(entry["data"]))]
    return Counter((owners[entry["number"]], entry["service"], entry["act"]) for entry in log if entry["number"] in owners)


# --- a run ---------------------------------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What became of everybody: ends in their order, effects on record, what the outside systems saw; by the company's name."""

    ends: dict[str, list[str]]
    effects: dict[str, list[str]]
    begun: list[str]
    seen: Counter[tuple[str, str, str]]
    duplicates: list[str]
    mails_again: int = 0
    failed_tasks: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)

    @property
    def finished(self) -> int:
        """Trials that have ended."""
        return sum(len(ends) for ends in self.ends.values())


def run_of(companies: Sequence[Company], rows: Sequence[EffectRow], log: Sequence[Entry], names: Mapping[str, str]) -> Run:
    """``names``: what stands in this run's names, and what takes its place, so that two runs can be compared."""

    def plain(text: str) -> str:
        for ours, common in names.items():
            text = text.replace(ours, common).replace(ours.title(), common.title())
        text = re.sub(r"/[0-9a-f]{8}\.", "/", text)
        text = re.sub(r"^(join-.+)-[0-9a-f]{12}/", r"\1-SOMEBODY/", text)  # of two who sign up at one instant either may be the second
        return re.sub(r"\bsrc-[0-9a-f]{8}\b", "src-HOST", text)

    effects: dict[str, list[str]] = {}
    begun = []
    for row in rows:
        if row.done_at is None:
            begun.append(f"{row.subject}/{row.key}")
        for each in companies:
            if each.domain in row.subject or any(trial.workflow in row.subject for trial in each.played):
                effects.setdefault(plain(each.domain), []).append(plain(f"{row.subject} {row.system}: {row.key}"))
                break
    tries = {row.receipt.ref: row.attempts for row in rows if row.receipt and row.system == "mail"}
    once, again = once_each(log)
    called = {name: each.domain for each in companies for name in (each.story.name, each.domain.partition(".")[0])}
    counted = Counter({(plain(name), service, act): count for (name, service, act), count in seen(once, called).items()})
    return Run(
        ends={plain(each.domain): [f"{trial.case} {trial.end}" for trial in each.played if trial.end] for each in companies},
        effects={name: sorted(keys) for name, keys in effects.items()},
        begun=begun,
        seen=counted,
        duplicates=duplicates(log, tries),
        mails_again=again,
    )


def differences(quiet: Run, chaotic: Run) -> list[str]:
    """What is wrong with a run under attack, in words; empty when everybody is where the quiet run puts them, and nobody saw anything twice."""
    wrong = [f"duplicate: {each}" for each in chaotic.duplicates]
    wrong += [f"failed workflow task: {each}" for each in chaotic.failed_tasks]
    wrong += [f"still running: {each}" for each in chaotic.running]
    wrong += [f"begun and never done: {each}" for each in chaotic.begun]
    for name in sorted({*quiet.ends, *chaotic.ends}):
        if quiet.ends.get(name) != chaotic.ends.get(name):
            wrong.append(f"{name} ended as {chaotic.ends.get(name)}, not as {quiet.ends.get(name)}")
        expected, got = Counter(quiet.effects.get(name, ())), Counter(chaotic.effects.get(name, ()))
        wrong += [f"loss, by the ledger: {name}: {key}" for key in sorted((expected - got).elements())]
        wrong += [f"one more, by the ledger: {name}: {key}" for key in sorted((got - expected).elements())]
    for key in sorted({*quiet.seen, *chaotic.seen}):
        if (expected_count := quiet.seen[key]) != (count := chaotic.seen[key]):
            what = "loss" if count < expected_count else "duplicate"
            wrong.append(f"{what}, by the outside systems: {' '.join(key)}: {count}, not {expected_count}")
    return wrong


def of_some(run: Run, companies: Iterable[str]) -> Run:
    """The part of a run that is these companies'."""
    names = set(companies)
    mine = Counter({key: count for key, count in run.seen.items() if key[0] in names})
    return Run({name: run.ends[name] for name in names}, {name: run.effects[name] for name in names}, [], mine, [])


#: The quiet run of one company, so that the short version need not play it.
RECORDED = Path(__file__).with_name("quiet.json")


def recorded() -> Run:
    """The quiet run on record."""
    kept = json.loads(RECORDED.read_text())
    return Run(kept["ends"], kept["effects"], [], Counter({(name, service, act): count for name, service, act, count in kept["seen"]}), [])


def record(run: Run) -> None:
    """Put a quiet run on record, when the story or the acts have changed for good."""
    kept = {"ends": run.ends, "effects": run.effects, "seen": [[*key, count] for key, count in sorted(run.seen.items())]}
    RECORDED.write_text(json.dumps(kept, indent=1) + "\n")


async def failed_tasks(client: Client) -> list[str]:
    """Every failed workflow task on the server, in words. A killed worker's time-out is none, nor is a message that came in between."""
    found = []
    async for execution in client.list_workflows():
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        async for event in handle.fetch_history_events():
            failed = event.workflow_task_failed_event_attributes
            again = failed.cause == UNHANDLED or failed.failure.message.startswith(TOO_BUSY)
            if event.HasField("workflow_task_failed_event_attributes") and not again:
                found.append(f"{execution.id}, event {event.event_id}: {failed.failure.message}")
    return found
