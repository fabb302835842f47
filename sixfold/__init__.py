"""The front door: settings, wiring, the command line and the client for producers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sixfold.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for, since commands do without it."""
    if name in __all__:
        return getattr(import_module("sixfold.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
