"""The commands by which people decide, made from what is declared of each decision (:mod:`domain.commands`)."""

from collections.abc import Callable
from datetime import date
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from domain.all import every
from domain.commands import Command, FormField
from starter.cli.base import Account, By, Domain, Event, Json, argument, ask, number, option, pairs, say
from starter.errors import BadInput
from starter.service.accounts import Accounts
from starter.service.tenure import Tenure


class Deciding(TyperGroup):
    """A group of commands with those of its decisions."""

    def __init__(self, *, name: str, commands: dict[str, Any], **options: Any) -> None:
        super().__init__(name=name, commands={**commands, **_decisions(name)}, **options)


def _decisions(group: str) -> dict[str, Any]:
    made = typer.Typer(add_completion=False)
    made.callback()(lambda: None)
    for command in every():
        if command.offered and command.typed[0] == group:
            made.command(command.typed[1])(_function(command))
    return dict(typer.main.get_command(made).commands)  # type: ignore[attr-defined]  # a group, for it has a callback


def _function(command: Command[Any]) -> Callable[..., None]:
    """The command's function: what it takes are its message's fields, ``--event-id`` and ``--json``."""
    names = {attribute: info.alias or attribute for attribute, info in command.message.model_fields.items()}
    forms = {form.name: form for form in command.fields()}

    def run(**given: Any) -> None:
        texts = pairs(f"--{command.pairs}", given.pop("pairs", None))
        if unknown := sorted(set(texts) - set(forms)):
            raise BadInput(f"there is no {command.pairs} {', '.join(unknown)}", f"There are: {', '.join(forms)}", field=command.pairs)
        said = {name: given[attribute] for attribute, name in names.items() if attribute in given}
        for attribute, name in names.items():
            if name in said and name in forms and forms[name].kind == "date":
                called = "the date" if attribute in command.takes else f"--{_dashed(name)}"
                said[name] = _day(given[attribute], called)

        async def decide(tenure: Tenure) -> str:
            message, event = {**said, **texts}, given["event_id"]
            if command.of.key == "domain":
                return await tenure.act(given["key"], command.name, message, event)
            return await Accounts.of(tenure).decide(command, given["key"], message, event)

        say(ask(decide), given["as_json"])

    taken = [Parameter("key", Parameter.POSITIONAL_OR_KEYWORD, annotation=Domain if command.of.key == "domain" else Account)]
    taken += [_positional(attribute, forms[names[attribute]]) for attribute in command.takes]
    if command.pairs:
        help_ = f"One of these, repeatable: {', '.join(forms)}."
        options = [_keyword("pairs", Annotated[list[str] | None, option(f"--{command.pairs}", help_, "NAME=TEXT")], None)]
    else:
        options = [_option(attribute, forms[name]) for attribute, name in names.items() if name in forms and attribute not in command.takes]
    options += [_keyword("by", By, ""), _keyword("event_id", Event, ""), _keyword("as_json", Json, default=False)]
    run.__signature__ = Signature([*taken, *options])  # type: ignore[attr-defined]  # what Typer reads of a function
    run.__annotations__ = {each.name: each.annotation for each in (*taken, *options)}
    run.__doc__ = f"{command.summary}.\n\n{command.doc}"
    return run


def _keyword(name: str, kind: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _positional(attribute: str, form: FormField) -> Parameter:
    metavar = "YYYY-MM-DD" if form.kind == "date" else form.label.split()[-1].upper()
    return Parameter(attribute, Parameter.POSITIONAL_OR_KEYWORD, annotation=Annotated[str, argument(metavar, form.help)])


def _option(attribute: str, form: FormField) -> Parameter:
    flag = f"--{_dashed(form.name)}"
    if form.kind == "yes_no":
        return _keyword(attribute, Annotated[bool, typer.Option(flag, help=form.help)], default=False)
    if form.kind == "number":
        whole = typer.Option(flag, metavar="NUMBER", parser=number, help=form.help, show_default=False)
        return _keyword(attribute, Annotated[int | None, whole], Parameter.empty if form.required else None)
    metavar = "YYYY-MM-DD" if form.kind == "date" else None
    text = typer.Option(flag, metavar=metavar, help=form.help, show_default=form.default is not None)
    return _keyword(attribute, Annotated[str, text], Parameter.empty if form.required else form.default or "")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _day(text: str | None, what: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{what} {text[:40]!r} is not a date", "Write it as YYYY-MM-DD") from None
