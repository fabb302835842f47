"""The front door: settings, wiring, the command line and the client for producers."""

from sixfold.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
