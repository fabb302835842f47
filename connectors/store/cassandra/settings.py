"""How to reach a Cassandra cluster, and how views are kept in it."""

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.errors import BadStoreSettings

_SCHEME = "cassandra://"
_PORT = 9042
_KEYSPACE = "sixfold"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections are encrypted.

    Attributes:
        ca: the file of the certificates that sign the servers'; those of the system if empty.
        certificate, key: the client's own files, if the servers ask for them.
        checks_names: whether a server's certificate has to be for the address it was reached at.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    checks_names: bool = True

    def context(self) -> ssl.SSLContext:
        """For the client.

        Raises:
            BadStoreSettings: a file is missing, or not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except OSError as error:
            files = ", ".join(filter(None, (self.ca, self.certificate, self.key)))
            raise BadStoreSettings(f"TLS files of the store ({files}): {error}") from error
        context.check_hostname = self.checks_names
        return context


@dataclass(frozen=True, slots=True)
class CassandraSettings:
    """A cluster.

    Attributes:
        hosts: some of its nodes.
        keyspace: made if it is missing; installations that share a cluster have one each.
        datacenter: whose nodes are asked; that of the first host if empty.
        copies: of every row in that datacenter, if the keyspace is made; 3 if it has so many nodes.
        password: of `user`; without a user nobody logs in.
        tls: None to talk in the clear.
        timeout_s: how long the cluster may take to answer before it counts as unavailable.
        speculate_s: after so long a read is asked of another node as well.
    """

    hosts: Sequence[tuple[str, int]]
    keyspace: str = _KEYSPACE
    datacenter: str = ""
    copies: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls | None = None
    timeout_s: float = 5.0
    speculate_s: float = 0.1

    @classmethod
    def of_url(cls, url: str, **others: Any) -> "CassandraSettings":
        """Of cassandra://HOST:PORT,HOST:PORT/KEYSPACE; port and keyspace may be left out.

        Raises:
            BadStoreSettings: that is none.
        """
        hosts, _, keyspace = url.removeprefix(_SCHEME).partition("/")
        if not url.startswith(_SCHEME) or not hosts:
            raise BadStoreSettings(
                f"{url!r} is no address of Cassandra: cassandra://HOST:PORT,HOST:PORT/KEYSPACE"
            )
        if keyspace and not _NAME.fullmatch(keyspace):
            raise BadStoreSettings(
                f"{keyspace!r} cannot be a keyspace: lower-case letters, digits and '_', up to 48"
            )
        return cls([_address(host) for host in hosts.split(",")], keyspace or _KEYSPACE, **others)


def password_of(file: str) -> str:
    """The password in a file: its first line.

    Raises:
        BadStoreSettings: the file cannot be read.
    """
    try:
        return Path(file).expanduser().read_text().partition("\n")[0]
    except OSError as error:
        raise BadStoreSettings(f"the file of the store's password: {error}") from error


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    if not host or not (port or str(_PORT)).isdecimal():
        raise BadStoreSettings(f"{text!r} is no address: HOST or HOST:PORT")
    return host, int(port or _PORT)
