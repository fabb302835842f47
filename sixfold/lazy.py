"""Commands that are imported when they are called: importing all of them takes a second."""

from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class Place(NamedTuple):
    """Where a command is.

    Attributes:
        attribute: the function, or the Typer app of several commands.
        help: its help, in one line.
    """

    module: str
    attribute: str
    help: str

    def command(self, name: str) -> Any:
        """The command."""
        found = getattr(import_module(self.module), self.attribute)
        alone = typer.Typer(add_completion=False)
        if isinstance(found, typer.Typer):
            alone.add_typer(found, name=name)
        else:
            alone.command(name)(found)
        return get_group(alone).commands[name]


class LazyGroup(TyperGroup):
    """A group that lists its commands without importing them."""

    PLACES: ClassVar[dict[str, Place]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, as help has them."""
        return list(self.PLACES)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """What help needs of a command."""
        place = self.PLACES.get(cmd_name)
        return TyperCommand(cmd_name, help=place.help) if place else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is called."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, self.PLACES[name].command(name) if name else None, rest
