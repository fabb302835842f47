"""Settings: `sixfold.toml`, then environment variables `SIXFOLD_SECTION_NAME`.

[gateway]
port = 8080          # or SIXFOLD_GATEWAY_PORT=8080
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from connectors.engines.jars import default_cache
from connectors.errors import BadDatabase, BadStoreSettings
from connectors.gateway.countries import Countries
from connectors.gateway.settings import GatewaySettings
from connectors.store.cassandra.settings import CassandraSettings, Tls, password_of
from schemas.frozen import Frozen
from schemas.patterns import Tenant, in_words
from sixfold.errors import BadSettings
from streams.addresses import Network
from streams.errors import RuleBroken
from streams.links.urls import UrlRules, normal_url

FILE = Path("sixfold.toml")
_PREFIX = "SIXFOLD_"

Count = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[int, msgspec.Meta(ge=0)]


class Section(Frozen, forbid_unknown_fields=True):
    """Base class of the sections."""


class LogSection(Section):
    """The log.

    Attributes:
        url: kafka://HOST:PORT,HOST:PORT, together with `store.url`; embedded if empty.
        synchronous: FULL: what is acknowledged survives a power failure; NORMAL: a crash.
        watermark_mb: appends are refused while less than this is free on the disk,
        max_queue_mb: or more than this waits to be committed.
        max_lag_records: gateways take no more writes while a fold has so many still to apply.
        spill: the directory in which clicks wait while the log does not take them, best on another
            disk; `spill` in the data directory unless set.
    """

    url: str = ""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    watermark_mb: Size = 256
    max_queue_mb: Count = 64
    max_lag_records: Count = 1_000_000
    spill: str = ""


class StoreSection(Section):
    """The store of views; see `connectors.store.cassandra.settings.CassandraSettings`.

    Attributes:
        url: cassandra://HOST:PORT,HOST:PORT/KEYSPACE, together with `log.url`; embedded if empty.
        datacenter: whose nodes are asked; that of the first host if empty.
        copies: of every row, if the keyspace has to be made; 0: 3, or 1 where there are fewer nodes.
        user, password_file: who logs in; the password is the first line of a file.
        tls: whether connections are encrypted.
        ca: the file of the certificates that sign the servers'; those of the system if empty.
        certificate, key: this client's own files, if the servers ask for them.
        check_names: whether a server's certificate has to be for the address it is reached at.
    """

    url: str = ""
    datacenter: str = ""
    copies: Size = 0
    user: str = ""
    password_file: str = ""
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    check_names: bool = True
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0

    def settings(self) -> CassandraSettings:
        """As the store takes them.

        Raises:
            BadSettings: the address is none, or the password cannot be read.
        """
        try:
            return CassandraSettings.of_url(
                self.url,
                datacenter=self.datacenter,
                copies=self.copies or None,
                user=self.user,
                password=password_of(self.password_file) if self.password_file else "",
                tls=self._tls() if self.tls else None,
                timeout_s=self.timeout_s,
            )
        except BadStoreSettings as error:
            raise BadSettings(f"store: {error}") from error

    def _tls(self) -> Tls:
        return Tls(self.ca, self.certificate, self.key, self.check_names)


class VaultSection(Section):
    """The vault.

    Attributes:
        master_key: the file of the master key; keep it apart from the data and its backups.
    """

    master_key: str = "~/.config/sixfold/master.key"


class GatewaySection(Section):
    """The gateway; see `connectors.gateway.settings.GatewaySettings`."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8080
    public_url: str = ""
    trusted_proxies: list[str] = []
    cors_origins: list[str] = []
    max_event_bytes: Count = 256 * 1024
    max_batch_bytes: Count = 16 * 1024 * 1024

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The trusted proxies.

        Raises:
            ValueError: one is no address or network.
        """
        return tuple(ip_network(proxy) for proxy in self.trusted_proxies)

    def settings(self) -> GatewaySettings:
        """As the gateway takes them."""
        return GatewaySettings(
            host=self.host,
            port=self.port,
            public_url=self.public_url.rstrip("/"),
            trusted_proxies=self.proxies,
            cors_origins=tuple(self.cors_origins),
            max_event_bytes=self.max_event_bytes,
            max_batch_bytes=self.max_batch_bytes,
            reuse_port=True,  # of all gateways of a data directory
        )


class LinksSection(Section):
    """Short links.

    Attributes:
        region: 0 to 15; regions make keys of disjoint ranges. What has links keeps its region.
        base: added to block numbers; raise it after a migration, never lower it.
        blocked_hosts: no link may lead there, nor to their subdomains.
        allow_private: whether links may lead to addresses that are not public.
        follow_redirects: whether targets are asked where they redirect to when links are made.
        countries: a MaxMind-format database of countries.
        country_header: the header in which a trusted proxy names the visitor's country.
        cached: links that each gateway keeps in memory.
        max_links: that one tenant may have.
        creations_per_minute: links that one caller may make at each gateway.
        creations_per_minute_from_address: links that may be made from one address.
        usual_creations_per_minute: a caller who makes more raises `link.creation_unusual`.
        usual_refusals_per_minute: so does one who is refused more targets.
    """

    region: Annotated[int, msgspec.Meta(ge=0, le=15)] = 0
    base: Size = 0
    blocked_hosts: list[str] = []
    allow_private: bool = False
    follow_redirects: bool = True
    countries: str = ""
    country_header: str = ""
    cached: Count = 100_000
    max_links: Count = 10_000_000
    creations_per_minute: Count = 6_000
    creations_per_minute_from_address: Count = 12_000
    usual_creations_per_minute: Count = 2_000
    usual_refusals_per_minute: Count = 20


class EnginesSection(Section):
    """Kafka and Cassandra as `sixfold engines` runs them.

    Attributes:
        cache: where they are fetched to; by default in the user's folder of caches.
    """

    cache: str = ""

    @property
    def folder(self) -> Path:
        """The cache."""
        return Path(self.cache).expanduser() if self.cache else default_cache()


class Settings(Section):
    """All settings.

    Attributes:
        data: the data directory.
        tenant: that the first API key, and what is imported without another, belongs to.
    """

    data: Path = Path("data")
    tenant: Tenant = "main"
    log: LogSection = LogSection()
    store: StoreSection = StoreSection()
    vault: VaultSection = VaultSection()
    gateway: GatewaySection = GatewaySection()
    links: LinksSection = LinksSection()
    engines: EnginesSection = EnginesSection()

    @property
    def log_file(self) -> Path:
        """The embedded database."""
        return self.data / "log.db"

    @property
    def spill(self) -> Path:
        """The directory in which clicks wait while the log does not take them."""
        return Path(self.log.spill).expanduser() if self.log.spill else self.data / "spill"

    @property
    def lake(self) -> Path:
        """The directory of the lake's tables."""
        return self.data / "lake"

    @property
    def master_key(self) -> Path:
        """The file of the master key."""
        return Path(self.vault.master_key).expanduser()


def load(file: Path = FILE, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file, which may be missing, and of the environment, which win.

    Raises:
        BadSettings: a setting is unknown or has a wrong value, or the file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file} cannot be read: {error}") from error
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{file}: {error}") from error
    given = {name: _addressed(name, value) for name, value in given.items()}
    _convert(given, lambda path: _line(file, text, path))
    variables = _from(environment)
    merged = _merged(given, {path: value for path, (_, value) in variables.items()})

    def place(path: str) -> str:
        return variables[path][0] if path in variables else _line(file, text, path)

    settings = _convert(merged, place)
    _check_pair(settings)
    for path, check in _CHECKS.items():
        try:
            check(settings)
        except (ValueError, RuleBroken, BadDatabase) as error:
            reason = error.reason if isinstance(error, RuleBroken) else str(error)
            raise BadSettings(f"{place(path)}: {path}: {reason}") from error
    return settings


def _check_countries(settings: Settings) -> None:
    if settings.links.countries:
        Countries(Path(settings.links.countries)).close()


def _check_public_url(settings: Settings) -> None:
    url = settings.gateway.public_url
    if url and set("?#") & set(normal_url(url, "public_url")):
        raise ValueError(f"{url}: keys are appended to it, so leave query and fragment out")


# What types cannot say of settings: checked before anything is made of them.
_CHECKS: Mapping[str, Callable[[Settings], object]] = {
    "gateway.trusted_proxies": lambda settings: settings.gateway.proxies,
    "gateway.public_url": _check_public_url,
    "links.blocked_hosts": lambda settings: UrlRules.of(_ANY_URL, settings.links.blocked_hosts),
    "links.countries": _check_countries,
}

_ANY_URL = "http://localhost"


def _check_pair(settings: Settings) -> None:
    """Log and store are one of two pairs, since a commit has to reach both."""
    log, store = settings.log.url, settings.store.url
    if bool(log) != bool(store):
        raise BadSettings(
            f"log.url is {log!r} and store.url is {store!r}, which do not go together: set both, to "
            "kafka://… and cassandra://…, or neither, for the embedded log and store"
        )
    if store:
        settings.store.settings()
        if not log.startswith("kafka://"):
            raise BadSettings(f"log.url: {log!r} is no address of Kafka: kafka://HOST:PORT")


def _addressed(name: str, value: Any) -> Any:
    """The section that a name stands for which is given an address alone."""
    return {"url": value} if name in _ADDRESSED and isinstance(value, str) else value


def _convert(given: dict[str, Any], place: Any) -> Settings:
    try:
        return msgspec.convert(given, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        message = in_words(str(error))
        match = re.search(r"- at `\$\.?([^`]*)`", message)
        path = match[1].split("[")[0] if match else ""
        unknown = re.search(r"unknown field `([^`]*)`", message)
        if unknown:
            path = f"{path}.{unknown[1]}".lstrip(".")
            message = "there is no such setting"
        raise BadSettings(f"{place(path)}: {path}: {message.partition(' - at')[0]}") from error


def _decode(type_: type, value: Any) -> Any:
    if type_ is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected a path, got `{type(value).__name__}`")


def _from(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The settings among environment variables: path → (variable, value)."""
    sections = {name for name, value in _defaults().items() if isinstance(value, Section)}
    found = {}
    for variable, value in environment.items():
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        name = variable.removeprefix(_PREFIX).lower()
        section, _, rest = name.partition("_")
        path = f"{section}.{rest}" if section in sections and rest else name
        if name in _ADDRESSED:
            path = f"{name}.url"
        found[path] = (variable, value)
    return found


# The address of these is all that has to be set of them: SIXFOLD_LOG=kafka://…
_ADDRESSED = {"log", "store"}

# Read elsewhere: secrets do not belong among the settings, which are shown.
_NOT_SETTINGS = {"SIXFOLD_MASTER_KEY", "SIXFOLD_API_KEY", "SIXFOLD_URL"}


def _defaults() -> dict[str, Any]:
    return msgspec.structs.asdict(Settings())


def _merged(given: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    merged = {k: dict(v) if isinstance(v, dict) else v for k, v in given.items()}
    for path, value in variables.items():
        section, _, name = path.rpartition(".")
        target = merged.setdefault(section, {}) if section else merged
        target[name] = _items(value) if _is_list(section, name) else value
    return merged


def _items(value: str) -> list[str]:
    """A list as variables have it: `a, b`, or nothing for none."""
    return [item.strip() for item in value.split(",") if item.strip()]


def _is_list(section: str, name: str) -> bool:
    default = getattr(_defaults().get(section), name, None) if section else None
    return isinstance(default, list)


def _line(file: Path, text: str, path: str) -> str:
    """`file:line` of a setting."""
    section, _, name = path.rpartition(".")
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\]]+)\]", line)
        if header:
            inside = header[1].strip()
            if inside == path:
                return f"{file}:{number}"
        elif inside == section and re.match(rf"\s*{re.escape(name)}\s*=", line):
            return f"{file}:{number}"
    return str(file)
