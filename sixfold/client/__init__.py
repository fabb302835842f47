"""The client for producers of events.

with Client("http://127.0.0.1:8080", api_key) as client:
    client.send("link.clicked", {"link": "a1B2c3D", "visitor": "…"})
"""

from sixfold.client.asynchronous import AsyncClient, Options, Receipt
from sixfold.client.blocking import Client
from sixfold.client.errors import (
    ClientError,
    DamagedSpill,
    NotFlushed,
    Rejected,
    SpillInUse,
    Undelivered,
)

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "DamagedSpill",
    "NotFlushed",
    "Options",
    "Receipt",
    "Rejected",
    "SpillInUse",
    "Undelivered",
]
