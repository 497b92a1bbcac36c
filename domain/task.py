"""A person's part: what is asked, of which role, with which choices, due when, and who is asked when nobody answers (idea 3)."""

import re
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from domain.amounts import count, dollars
from domain.base import Message, State, Value
from domain.commands import ANY_PROCESS, NAMES_NOBODY, Command
from domain.people import Role


class TaskKind(StrEnum):
    """What is asked of people. Besides, a refused effect asks ``fix-<system>``, a declined request ``<name>-declined``, the forecast ``forecast-<who>``."""

    TRIAGE = "triage"
    APPROVAL = "approval"
    RAISE_REQUEST = "raise_request"
    CE_EMAIL = "ce_email"
    PROVISION = "provision"
    HAND_OVER = "hand_over"
    DEADLINE = "deadline"
    OWNERS = "owners"
    CONVERSION = "conversion"
    TEARDOWN = "teardown"
    CONSENT = "consent"
    VERIFY = "verify"
    MOVE = "move"
    JOIN = "join"
    RESCUE = "rescue"
    LATE_WORD = "late-word"
    PLAN = "plan"
    UPDATE = "update"
    REVIEW = "review"
    FILL = "fill"
    PROMOTE = "promote"
    EARLY_REVIEW = "early_review"
    ASSESS_TA = "assess_ta"
    ASSESS_AE = "assess_ae"
    REVIEW_TA = "review_ta"
    REVIEW_AE = "review_ae"
    SETTLE = "settle"
    PROCESS = "process"
    SUBSCRIPTION = "subscription"
    SAVE_PLAN = "save_plan"
    REVIEW_PLAN = "review_plan"
    SPONSOR = "sponsor"
    EXIT_SALES = "exit_sales"
    EXIT_TS = "exit_ts"


class FieldSpec(Value):
    """A value that a choice needs: its name, what it means, and its form."""

    name: str
    asks: str
    kind: Literal["text", "email", "integer", "dollars", "date", "domain"] = "text"
    required: bool = True


class Choice(Value):
    """One button. ``fields`` are what the answer must or may carry with it; ``every_check``: a yes or no to each check, too."""

    name: str
    label: str
    fields: tuple[FieldSpec, ...] = ()
    every_check: bool = False


class Check(Value):
    """A named criterion that the answer says yes or no to."""

    name: str
    question: str


class Escalation(Value):
    """When nobody answered by ``at``: who is asked now."""

    at: datetime
    asks: Literal["owner", "backup", "manager"]
    who: str


class TaskSpec(Value):
    """What is asked. ``kind`` is unique among a workflow's open tasks; ``assignee`` is an e-mail address of ours or empty (the whole role)."""

    kind: str
    title: str
    asks: str
    role: Role
    assignee: str = ""
    choices: tuple[Choice, ...] = Field(min_length=1)
    checks: tuple[Check, ...] = ()
    due_at: datetime
    ladder: tuple[Escalation, ...] = ()
    repeat_days: int = 7

    @property
    def asked(self) -> tuple[str, ...]:
        """Whom the ladder asks, beside the assignee, each once."""
        return tuple(dict.fromkeys(rung.who for rung in self.ladder if rung.who and rung.who != self.assignee))

    def choice(self, name: str) -> Choice | None:
        """The choice of that name."""
        return next((choice for choice in self.choices if choice.name == name), None)


class Answer(Message):
    """A person's answer, from wherever it came. ``task`` is the task's id (``triage-1``) or its kind.

    ``unjudged``: the way in found no such open task, so it judged nobody; a task that was opened since is not answered by it.
    """

    task: Annotated[str, NAMES_NOBODY]
    choice: Annotated[str, NAMES_NOBODY]
    by: str = ""
    note: str = Field(default="", max_length=2_000)
    checks: Annotated[dict[str, bool], NAMES_NOBODY] = {}
    fields: dict[str, JsonValue] = {}
    unjudged: bool = False

    def texts(self) -> dict[str, str]:
        """Its fields that say something, as plain text."""
        return {name: str(value).strip() for name, value in self.fields.items() if value not in (None, "")}


#: Whatever asks takes it; whether somebody may is judged by the task.
ANSWER = Command("answer", ANY_PROCESS, Answer, offered=False)


class Task(State):
    """An asked task and what became of it. ``rung`` counts the rungs climbed."""

    id: str
    spec: TaskSpec
    channel: str = ""
    opened_at: datetime
    rung: int = 0
    next_at: datetime
    status: Literal["open", "answered", "withdrawn"] = "open"
    answer: Answer | None = None
    closed_at: datetime | None = None
    closed_because: str = ""

    @property
    def is_open(self) -> bool:
        """Whether an answer may still win."""
        return self.status == "open"


def refusal(answer: Answer, tasks: list[Task]) -> str | None:
    """Why this answer cannot be taken, in words that say what to do; None when it can."""
    if not answer.by.strip():
        return 'say who answers: "by" must be your e-mail address'
    task = find(answer.task, tasks)
    open_ids = ", ".join(task.id for task in tasks if task.is_open) or "none"
    if task is None:
        return f"there is no task {answer.task!r}; open tasks: {open_ids}"
    if task.status == "answered" and (said := _said(task)):
        return f"{said}; nothing was changed"
    if not task.is_open:
        return f"{task.id} is closed ({task.closed_because or task.status}); open tasks: {open_ids}"
    if answer.unjudged:
        return f"{task.id} was asked this moment; send the answer again"
    choice = task.spec.choice(answer.choice)
    if choice is None:
        return f"{answer.choice!r} is not a choice of {task.id}; choose one of: {', '.join(c.name for c in task.spec.choices)}"
    known = {check.name for check in task.spec.checks}
    if unknown := set(answer.checks) - known:
        return f"unknown checks {', '.join(sorted(unknown))}; the checks of {task.id} are: {', '.join(c.name for c in task.spec.checks) or 'none'}"
    if choice.every_check and (missing := [check.name for check in task.spec.checks if check.name not in answer.checks]):
        return f"{choice.name!r} needs a yes or a no to every check; missing: {', '.join(missing)}"
    for field in choice.fields:
        value = answer.fields.get(field.name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if field.required:
                return f"{choice.name!r} needs the field {field.name!r} ({field.asks})"
        elif fault := field_fault(field, value):
            return fault
    return None


def late(name: str, tasks: list[Task]) -> str:
    """Who answered, what and when, for whoever comes after the process has ended: the task that they mean, else the last one that was answered."""
    meant = find(name, tasks) if name else None
    answered = [(task.closed_at, said) for task in ([meant] if meant else tasks) if task.closed_at and (said := _said(task))]
    if not answered:
        return f"{meant.id} is closed ({meant.closed_because or meant.status})" if meant else ""
    return max(answered, key=lambda each: each[0])[1]


def _said(task: Task) -> str:
    """Who answered a task, what and when; empty when nobody did."""
    if task.answer is None or task.closed_at is None:
        return ""
    return f"{task.id} was answered by {task.answer.by} at {task.closed_at:%Y-%m-%d %H:%M} UTC with {task.answer.choice!r}"


def field_fault(field: FieldSpec, value: JsonValue) -> str | None:
    """Why ``value`` is not of the field's kind; None when it is.

    What passes here must fit the message that it becomes: one that fails there fails inside the workflow, where nobody reads it.
    """
    holds, form = _FORMS[field.kind]
    return None if holds(value) else f"{field.name!r} must be {form} ({field.asks})"


#: The CRM's field holds no longer one (Salesforce, field type Email), and an address that is cut is somebody else's.
LONGEST_ADDRESS = 80
#: A glance at the form only: no white space (a line break would be a header of its own), one @, before it what every mail server takes,
#: a host of several labels.
_ADDRESS = re.compile(r"[!-?A-~]+@[^@\s.]+(\.[^@\s.]+)+")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.ASCII)


def _fits(value: JsonValue, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _is_date(value: JsonValue) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


#: What a field's value must be, by its kind, and how that is said.
_FORMS: dict[str, tuple[Callable[[JsonValue], bool], str]] = {
    "integer": (lambda value: count(value) is not None, "a whole number from 1 to 1,000,000"),
    "dollars": (lambda value: dollars(value) is not None, "whole dollars, as 120000"),
    "date": (_is_date, "a date as YYYY-MM-DD"),
    "email": (
        lambda value: _fits(value, LONGEST_ADDRESS) and _ADDRESS.fullmatch(str(value)) is not None,
        f"an e-mail address, of plain letters before the @ and at most {LONGEST_ADDRESS} characters",
    ),
    "domain": (lambda value: _fits(value, 253) and _DOMAIN.fullmatch(str(value).strip().lower()) is not None, "a domain, as acme.com"),
    "text": (lambda value: _fits(value, 2_000), "text of at most 2,000 characters"),
}


def find(name: str, tasks: list[Task]) -> Task | None:
    """The task of that id, or else the newest of that kind (an open one first)."""
    exact = next((task for task in tasks if task.id == name), None)
    of_kind = [task for task in tasks if task.spec.kind == name]
    return exact or next((task for task in reversed(of_kind) if task.is_open), of_kind[-1] if of_kind else None)
