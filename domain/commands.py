"""What people may decide about a process, each declared once; everything by which it is decided is made from the declaration.

From a :class:`Command` come the workflow's update with its signal twin (``workflows.frame.handlers.decides``), the route of the API, the
command of the command line, the form, the row of the table of rights, and what is sealed and noted of it. :mod:`domain.all` has them all.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from pydantic import Field as described_as
from pydantic.fields import FieldInfo

from domain import ids, rights
from domain.base import Message, Value
from domain.rights import Group, Reach

M = TypeVar("M", bound=Message)

#: Marks a text that is no free text and names nobody: it is sealed and shown on the audit, as numbers, dates and choices are.
NAMES_NOBODY = "names nobody"
By = Annotated[str, described_as(max_length=254, description="Who decides: your e-mail address.")]
Note = Annotated[str, described_as(max_length=2_000, description="For the record.")]
#: A text longer than this is written in several lines.
_ONE_LINE = 300


@dataclass(frozen=True)
class Kind:
    """A kind of process as people meet it: the workflow's type; its place under ``/api``; its group of commands; what names one of it.

    ``group`` and ``place`` are empty where people decide nothing by a way in of ours.
    """

    workflow: str
    place: str = ""
    group: str = ""
    key: Literal["domain", "account"] = "account"
    id_of: Callable[[str], str] | None = None

    def workflow_id(self, domain: str) -> str:
        """The id of a company's process. Raises ``ValueError`` where its domain alone does not say it, as for a renewal."""
        if self.id_of is None:
            raise ValueError(f"the domain alone does not say which {self.workflow} is meant")
        return self.id_of(domain)


ANY_PROCESS = Kind("")
TRIAL = Kind("Trial", "trials", "trial", "domain", ids.trial)
ACCOUNT = Kind("Account", "accounts", "account", id_of=ids.account)
RENEWAL = Kind("Renewal", "renewals", "renewal")
RED = Kind("RedAccount", "red-accounts", "red", id_of=ids.red)
PLAN = Kind("GetWell", "plans", "plan", id_of=ids.get_well)


class ByPerson(Message):
    """A message that says who decides, as nearly all do."""

    by: By = ""


class FormField(Value):
    """One field of a form: a page's, a modal's or a command line's. ``name`` is what it is sent as; ``choices`` only of a ``choice``."""

    name: str
    label: str
    kind: Literal["text", "long", "number", "date", "choice", "yes_no"]
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str | int | bool | None = None
    help: str = ""
    longest: int | None = None


@dataclass(frozen=True, eq=False)  # each is one of its own, and a key
class Command(Generic[M]):
    """One decision; defining one makes it known. ``name`` is that of its update and its signal, ``of`` the process that takes it, ``example`` a message that is taken.

    ``rights`` are its row in the table, called ``action`` (``name`` when empty) and, in a refusal, by ``words``; None: the row is another
    command's, or an answer's task judges. ``summary`` says what it does, ``doc`` what comes of it (handbook ids stand in ``handbook``).

    ``place`` is its route below ``/api``, ``line`` its words on the command line, where they are not of its process and its name.
    ``needs`` are the fields that a form must have filled in, though the message may come without: the process then says so itself.
    ``unasked`` are those that no form has: our own links give them.
    ``takes`` are the fields that the command line takes by their place. ``pairs`` is the repeatable option that takes each as NAME=TEXT.
    ``offered``: there are a route, a command and a form; else a way in of its own sends it. ``twin``: it may be signalled, too.
    ``nameless``: an operator at the command line need not say who decides.
    """

    name: str
    of: Kind
    message: type[M]
    words: str = ""
    handbook: str = ""
    rights: Mapping[Group, Reach] | None = None
    action: str = ""
    summary: str = ""
    doc: str = ""
    example: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    line: str = ""
    takes: Sequence[str] = ()
    pairs: str = ""
    needs: Sequence[str] = ()
    unasked: Sequence[str] = ()
    offered: bool = True
    twin: bool = True
    nameless: bool = False

    def __post_init__(self) -> None:
        """Make it known, with its row of rights. Raises ``ValueError`` when its process takes one of that name already."""
        taken = NAMED.setdefault(self.name, [])
        if any(each.of == self.of for each in taken):
            raise ValueError(f"{self.of.workflow or 'every workflow'} takes {self.name!r} already: give it another name")
        if self.rights is not None:
            rights.grant(self.judged_as, self.words, self.rights, of=self.of.workflow)
        taken.append(self)

    @property
    def judged_as(self) -> str:
        """The row of the table of rights; empty for an answer, which its task judges."""
        return self.action or (self.name if self.rights is not None else "")

    @property
    def path(self) -> str:
        """Its route: ``/trials/{domain}/extend``."""
        return f"/{self.place}" if self.place else f"/{self.of.place}/{{{self.of.key}}}/{self.name.replace('_', '-')}"

    @property
    def typed(self) -> tuple[str, str]:
        """Its group and its word on the command line: ``trial``, ``extend``."""
        group, _, word = (self.line or f"{self.of.group} {self.name.replace('_', '-')}").partition(" ")
        return group, word

    def fields(self) -> tuple[FormField, ...]:
        """Its form, but who decides, which whoever shows the form knows."""
        found = (_form_field(name, info) for name, info in self.message.model_fields.items() if name not in ("by", *self.unasked))
        return tuple(each.model_copy(update={"required": True}) if each.name in self.needs else each for each in found)

    def figures(self) -> frozenset[str]:
        """The fields that say what is decided, and name nobody: numbers, dates, choices, and texts that are marked so."""
        return frozenset(info.alias or name for name, info in self.message.model_fields.items() if _is_figure(info))

    def words_of(self) -> frozenset[str]:
        """Those of its figures that are written as words: dates, choices, and texts that name nobody."""
        numbers = {info.alias or name for name, info in self.message.model_fields.items() if plain_type(info) in (bool, int)}
        return self.figures() - numbers


#: Every command by its name, each with every process that takes it: a name is one row of rights, whoever takes it.
NAMED: dict[str, list[Command[Any]]] = {}


def every() -> tuple[Command[Any], ...]:
    """All of them, each process's together."""
    return tuple(sorted((each for named in NAMED.values() for each in named), key=lambda each: each.of.workflow))


def of(kind: Kind) -> tuple[Command[Any], ...]:
    """What may be asked of a process of that kind by a page, a program or the command line, in the order in which it was declared."""
    return tuple(each for each in every() if each.of == kind and each.offered)


def kinds() -> tuple[Kind, ...]:
    """The kinds of process about which anything is offered."""
    return tuple(dict.fromkeys(command.of for command in every() if command.offered))


def figures(name: str) -> frozenset[str]:
    """The figures of every command but those fields that are free text in the one of that name: no other field slips past a mark."""
    own = {info.alias or field for command in NAMED.get(name, ()) for field, info in command.message.model_fields.items()}
    free = own.difference(*(command.figures() for command in NAMED.get(name, ())))
    return frozenset().union(*(command.figures() for command in every())) - free


def words_of(name: str) -> frozenset[str]:
    """The same of those that are written as words."""
    return frozenset().union(*(command.words_of() for command in NAMED.get(name, ())))


def action_of(name: str) -> str:
    """The row of rights by which a command is judged; empty when there is none, as for an answer."""
    return next((command.judged_as for command in NAMED.get(name, ()) if command.judged_as), "")


def plain_type(info: FieldInfo) -> Any:
    """A field's type without ``None`` and without what is annotated."""
    kind = info.annotation
    while get_origin(kind) in (Annotated, Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind


def _is_figure(info: FieldInfo) -> bool:
    kind = plain_type(info)
    return kind in (bool, int, date) or get_origin(kind) is Literal or NAMES_NOBODY in info.metadata


def _form_field(name: str, info: FieldInfo) -> FormField:
    kind, sent = plain_type(info), info.alias or name
    longest = next((each.max_length for each in info.metadata if hasattr(each, "max_length")), None)
    choices = tuple(str(each) for each in get_args(kind)) if get_origin(kind) is Literal else ()
    kinds: dict[object, Literal["yes_no", "number", "date"]] = {bool: "yes_no", int: "number", date: "date"}
    default = info.default if isinstance(info.default, str | int | bool) and info.default != "" else None
    return FormField(
        name=sent,
        label=(info.title or sent.replace("_", " ")).capitalize(),
        kind="choice" if choices else kinds.get(kind, "long" if (longest or 0) > _ONE_LINE else "text"),
        required=info.is_required(),
        choices=choices,
        default=default,
        help=info.description or "",
        longest=longest,
    )
