"""Commands that are imported when they are called: until then their group knows their names and help texts."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


class Deferred(TyperCommand):
    """A command, or a group of commands, that the ``add_to`` of a module of ``starter.cli`` adds to a program.

    ``text`` is the first paragraph of its help, which the page of the group it is in shows; ``panel`` is that page's heading.
    """

    def __init__(self, name: str, module: str, text: str, *, panel: str | None = None) -> None:
        super().__init__(name, help=text, rich_help_panel=panel)
        self.module = module

    def load(self) -> Any:
        """The command itself."""
        app = typer.Typer()
        import_module(f"starter.cli.{self.module}").add_to(app)
        return typer.main.get_group(app).commands[str(self.name)]


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
