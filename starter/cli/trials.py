"""The commands about trials and tasks."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from domain.messages import SignupAnswer
from domain.task import Answer
from domain.views import TaskView
from starter.cli import parts, show_processes
from starter.cli.base import By, Domain, Event, Json, argument, ask, emit, number, option, pairs, say, whole
from starter.cli.decisions import Deciding
from starter.cli.parts import dim, words
from starter.cli.texts import listed
from starter.errors import BadInput
from starter.service.commands import read
from starter.service.forms import SignupForm, TrialRequestForm
from starter.service.queries import query_all
from starter.service.views import TrialPage

trial = typer.Typer(help="Look at trials and decide about them.", cls=Deciding)

Name = Annotated[str, option("--name", "The person's full name.")]
Email = Annotated[str, argument("EMAIL", "The prospect's work e-mail address.")]


def signup(
    email: Email,
    company: Annotated[str, option("--company", "The company's name.")] = "",
    name: Name = "",
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Sign a company up, as the signup page does."""
    form = read(SignupForm, {"email": email, "company": company, "via": "cli", "event_id": event_id or None, **_name(name)})
    emit(ask(lambda tenure: tenure.signup(form)), as_json, _signed_up)


@trial.command("list")
def trial_list(
    stage: Annotated[str, option("--stage", "Only this stage.")] = "",
    owner: Annotated[str, option("--owner", "Only a colleague's: address or handle.")] = "",
    closed: Annotated[bool, typer.Option("--all", help="The ended ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="Rows to a page.")] = 20,
    page: Annotated[str, option("--page", "The page that the page before named.")] = "",
    as_json: Json = False,
) -> None:
    """List trials, the newest first."""
    found = ask(lambda tenure: tenure.trials(limit, page, stage=stage, owner=owner, closed=closed))
    emit(found, as_json, lambda found: _trials(found, stage))


@trial.command("show")
def trial_show(domain: Domain, as_json: Json = False) -> None:
    """Show one trial: where it stands, what comes next, why it was decided so, what is asked of whom, what was done."""
    view, done = ask(lambda tenure: query_all(tenure.trial(domain), tenure.effects(domain)))
    emit({**view.model_dump(), "effects": done}, as_json, lambda _: show_processes.trial(view, done))


@trial.command("request")
def trial_request(
    email: Email,
    company: Annotated[str, option("--company", "The company's name.")],
    ce: Annotated[str, option("--ce", "The e-mail address of the CE who asks.")],
    name: Name = "",
    size: Annotated[str, typer.Option("--size", help="small, medium or large.")] = "small",
    seats: Annotated[int, typer.Option("--seats", metavar="NUMBER", parser=number, help="Seats of the trial's own licence key.")] = 100,
    criteria: Annotated[str, option("--criteria", "What makes the trial a success.")] = "",
    non_standard: Annotated[bool, typer.Option("--non-standard", help="The trial needs a technical review first.")] = False,
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Request a trial as a CE, sized to need; the CE's manager is asked to approve it."""
    asked = {"email": email, "company": company, "ce": ce, "size": size, "seats": seats, "success_criteria": criteria, **_name(name)}
    form = read(TrialRequestForm, {**asked, "standard": not non_standard, "event_id": event_id or None})
    emit(ask(lambda tenure: tenure.request_trial(form)), as_json, _signed_up)


def tasks(
    role: Annotated[str, option("--role", "Only what is asked of this role.")] = "",
    assignee: Annotated[str, option("--for", "Only what is asked of this person, by e-mail address.")] = "",
    workflow: Annotated[str, option("--workflow", "Only what this process asks, by its id.")] = "",
    after: Annotated[str, option("--after", "Only what comes after this task.", "TASK")] = "",
    limit: Annotated[int, typer.Option("--limit", help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List the open tasks, the earliest due first."""
    found = ask(lambda tenure: tenure.tasks(limit, after=after, role=role, assignee=assignee, workflow=workflow))
    emit(found, as_json, lambda found: _tasks(found, " and ".join(asked for asked in (words(role), assignee) if asked)))


def answer(
    task: Annotated[str, argument("TASK", "The task's id, as `tenure tasks` shows it.")],
    choice: Annotated[str, argument("CHOICE", "One of the task's choices.")],
    by: By = "",
    note: Annotated[str, option("--note", "For the record.")] = "",
    check: Annotated[list[str] | None, option("--check", "A criterion, repeatable.", "NAME=yes|no")] = None,
    field: Annotated[list[str] | None, option("--field", "A value, repeatable.", "NAME=VALUE")] = None,
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Answer a task; the first answer wins."""
    checks = {name: _yes(name, value) for name, value in pairs("--check", check).items()}
    fields = pairs("--field", field)
    given = read(Answer, {"task": task, "choice": choice, "by": by, "note": note, "checks": checks, "fields": fields})
    say(ask(lambda tenure: tenure.answer(task, given, event_id)), as_json)


def _name(full: str) -> dict[str, str]:
    first, _, last = full.strip().partition(" ")
    return {"first_name": first, "last_name": last}


def _yes(name: str, value: str) -> bool:
    said, yes, no = value.lower(), ("yes", "y", "true", "1"), ("no", "n", "false", "0")
    if said not in (*yes, *no):
        raise BadInput(f"--check {name}={value[:20]} is neither yes nor no", f"Write --check {name}=yes or --check {name}=no")
    return said in yes


# --- Pages ----------------------------------------------------------------------------------------------------------------


def _signed_up(said: SignupAnswer) -> Iterator[Text]:
    """What became of a signup."""
    host = (f"  {said.host}" if said.host else "", "cyan")
    yield Text.assemble((words(said.outcome), "bold"), f"  case {said.case}, {said.domain}", host)
    yield Text(said.message)
    yield dim(f"→ tenure trial show {said.domain}")


def _trials(found: TrialPage, stage: str = "") -> Iterator[Any]:
    """A page of trials; ``stage`` when only those of one were asked for."""
    if found.rows:
        yield listed("trials", found.rows, over=lambda row: "" if row.open else row.status)
    elif stage:
        yield f"No trial is in stage {words(stage)}."
    else:
        yield (
            "No trial is open. → tenure trial list --all"
            if found.counts
            else "No trials here yet. → tenure signup ada@acme.example --company Acme"
        )
    if found.counts:
        yield dim(", ".join(f"{count} {name}" for name, count in sorted(found.counts.items())))
    if found.next_page:
        yield whole(f"→ more: tenure trial list --page {found.next_page}", style="dim")


def _tasks(found: Sequence[TaskView], whose: str = "") -> Iterator[Any]:
    """The open tasks, one under the other; ``whose`` when only somebody's were asked for."""
    if not found:
        yield f"No open tasks of {whose}." if whose else "No open tasks."
    yield from map(parts.task, found)
