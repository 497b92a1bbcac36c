"""Commands that are imported when they are called: until then their group knows their names and help texts."""

import ast
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


def module(name: str) -> Any:
    """A module of ``starter.cli``, imported now."""
    return import_module(f"starter.cli.{name}")


@cache
def _helps(name: str) -> dict[str, str]:
    """What the help of each command and group of a module begins with, read from its text: docstrings, and ``typer.Typer(help=…)``."""
    found: dict[str, str] = {}
    for node in ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = (ast.get_docstring(node) or "").partition("\n\n")[0]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            said = (ast.literal_eval(given.value) for given in node.value.keywords if given.arg == "help")
            found |= {ast.unparse(target): help_ for target in node.targets for help_ in said}
    return found


class Deferred(TyperCommand):
    """The command, or the group of commands, that a module of ``starter.cli`` has under its name. ``panel`` is its heading on the help page."""

    def __init__(self, name: str, module: str, panel: str | None = None) -> None:
        super().__init__(name, rich_help_panel=panel)
        self.module = module

    @property
    def help(self) -> str | None:
        """The first paragraph of its own, which the page of the group it is in shows."""
        return _helps(self.module)[str(self.name)]

    @help.setter
    def help(self, _: str | None) -> None:
        """It says it itself."""

    def load(self) -> Any:
        """The command itself."""
        name, app = str(self.name), typer.Typer()
        found = getattr(module(self.module), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, rich_help_panel=self.rich_help_panel, no_args_is_help=True)
        else:
            app.callback()(lambda: None)
            app.command(name, rich_help_panel=self.rich_help_panel)(found)
        return typer.main.get_group(app).commands[name]


def loaded(command: Any) -> Any:
    """The command itself, imported if it is not yet."""
    return command.load() if isinstance(command, Deferred) else command


class LazyGroup(TyperGroup):
    """A group with deferred commands. A subclass names them."""

    deferred: ClassVar[Iterable[Deferred]] = ()

    def __init__(self, *, commands: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(commands={**(commands or {}), **{str(each.name): each for each in self.deferred}}, **options)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(command), rest
