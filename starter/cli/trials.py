"""The commands about trials and tasks."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from domain.task import Answer
from starter.cli import show_trials
from starter.cli.base import By, Domain, Json, ask, emit, pairs, say, whole
from starter.cli.decisions import Deciding, Event
from starter.cli.parts import words
from starter.errors import BadInput
from starter.service.forms import SignupForm, TrialRequestForm
from starter.service.tenure import Tenure, bad_fields

trial = typer.Typer(help="Look at trials and decide about them.", no_args_is_help=True, cls=Deciding)

Name = Annotated[str, typer.Option("--name", help="The person's full name.", show_default=False)]
Company = Annotated[str, typer.Option("--company", help="The company's name.", show_default=False)]
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The prospect's work e-mail address.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("signup", rich_help_panel="Trials")(signup)
    app.add_typer(trial, name="trial", rich_help_panel="Trials")
    app.command("tasks", rich_help_panel="Trials")(tasks)
    app.command("answer", rich_help_panel="Trials")(answer)


def signup(email: Email, company: Company = "", name: Name = "", event_id: Event = "", as_json: Json = False) -> None:
    """Sign a company up, as the signup page does."""
    form = _form(SignupForm, email=email, company=company, via="cli", **_name(name), **_event(event_id))
    said = ask(lambda tenure: tenure.signup(form))
    emit(said, as_json, lambda: show_trials.signup(said))


@trial.command("list")
def trial_list(
    stage: Annotated[str, typer.Option("--stage", help="Only this stage.", show_default=False)] = "",
    owner: Annotated[str, typer.Option("--owner", help="Only a colleague's: address or handle.", show_default=False)] = "",
    closed: Annotated[bool, typer.Option("--all", help="The ended ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="Rows to a page.")] = 20,
    page: Annotated[str, typer.Option("--page", help="The page that the page before named.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """List trials, the newest first."""
    found = ask(lambda tenure: tenure.trials(limit, page, stage=stage, owner=owner, closed=closed))
    emit(found, as_json, lambda: show_trials.trials(found, stage))


@trial.command("show")
def trial_show(domain: Domain, as_json: Json = False) -> None:
    """Show one trial: where it stands, what comes next, why it was decided so, what is asked of whom, what was done."""

    async def look(tenure: Tenure) -> tuple[Any, Any]:
        view, done = await asyncio.gather(tenure.trial(domain), tenure.effects(domain), return_exceptions=True)
        for result in (view, done):
            if isinstance(result, BaseException):
                raise result
        return view, done

    view, done = ask(look)
    emit({**view.model_dump(), "effects": done}, as_json, lambda: show_trials.trial(view, done))


@trial.command("request")
def trial_request(
    email: Email,
    company: Annotated[str, typer.Option("--company", help="The company's name.", show_default=False)],
    ce: Annotated[str, typer.Option("--ce", help="The e-mail address of the CE who asks.", show_default=False)],
    name: Name = "",
    size: Annotated[str, typer.Option("--size", help="small, medium or large.")] = "small",
    seats: Annotated[int, typer.Option("--seats", metavar="NUMBER", parser=whole, help="Seats of the trial's own licence key.")] = 100,
    criteria: Annotated[str, typer.Option("--criteria", help="What makes the trial a success.", show_default=False)] = "",
    non_standard: Annotated[bool, typer.Option("--non-standard", help="The trial needs a technical review first.")] = False,
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Request a trial as a CE, sized to need; the CE's manager is asked to approve it."""
    form = _form(
        TrialRequestForm,
        email=email,
        company=company,
        ce=ce,
        size=size,
        seats=seats,
        success_criteria=criteria,
        standard=not non_standard,
        **_name(name),
        **_event(event_id),
    )
    said = ask(lambda tenure: tenure.request_trial(form))
    emit(said, as_json, lambda: show_trials.signup(said))


def tasks(
    role: Annotated[str, typer.Option("--role", help="Only what is asked of this role.", show_default=False)] = "",
    assignee: Annotated[str, typer.Option("--for", help="Only what is asked of this person, by e-mail address.", show_default=False)] = "",
    workflow: Annotated[str, typer.Option("--workflow", help="Only what this process asks, by its id.", show_default=False)] = "",
    after: Annotated[str, typer.Option("--after", metavar="TASK", help="Only what comes after this task.", show_default=False)] = "",
    limit: Annotated[int, typer.Option("--limit", help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List the open tasks, the earliest due first."""
    found = ask(lambda tenure: tenure.tasks(limit, after=after, role=role, assignee=assignee, workflow=workflow))
    emit(found, as_json, lambda: show_trials.tasks(found, " and ".join(asked for asked in (words(role), assignee) if asked)))


def answer(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id, as `tenure tasks` shows it.", show_default=False)],
    choice: Annotated[str, typer.Argument(metavar="CHOICE", help="One of the task's choices.", show_default=False)],
    by: By = "",
    note: Annotated[str, typer.Option("--note", help="For the record.", show_default=False)] = "",
    check: Annotated[
        list[str] | None, typer.Option("--check", metavar="NAME=yes|no", help="A criterion, repeatable.", show_default=False)
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="NAME=VALUE", help="A value, repeatable.", show_default=False)
    ] = None,
    event_id: Event = "",
    as_json: Json = False,
) -> None:
    """Answer a task; the first answer wins."""
    checks = {name: _yes(name, value) for name, value in pairs("--check", check).items()}
    given = _form(Answer, task=task, choice=choice, by=by, note=note, checks=checks, fields=pairs("--field", field))
    say(ask(lambda tenure: tenure.answer(task, given, event_id)), as_json)


def _form(model: Any, **values: Any) -> Any:
    """The model of what was typed; a fault is the user's."""
    try:
        return model(**values)
    except ValidationError as error:
        raise bad_fields(error) from None


def _name(full: str) -> dict[str, str]:
    first, _, last = full.strip().partition(" ")
    return {"first_name": first, "last_name": last}


def _event(event_id: str) -> dict[str, str]:
    return {"event_id": event_id} if event_id else {}


def _yes(name: str, value: str) -> bool:
    match value.lower():
        case "yes" | "y" | "true" | "1":
            return True
        case "no" | "n" | "false" | "0":
            return False
        case _:
            raise BadInput(f"--check {name}={value[:20]} is neither yes nor no", f"Write --check {name}=yes or --check {name}=no")
