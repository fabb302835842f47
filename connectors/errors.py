"""Errors of this room. What a port of `streams` promises to raise is a subclass of its error too."""

from streams.errors import LogError, LogUnavailable, VaultError


class ConnectorError(Exception):
    """Base class."""


class NewerFormat(ConnectorError):
    """A file was written by a later version of Sixfold, which this one cannot read."""


class OlderFormat(ConnectorError):
    """A file was written by an earlier version of Sixfold, and has to be upgraded first."""


class UpgradeRefused(ConnectorError):
    """A file cannot be upgraded: not now, or not at all."""


class HostLocked(ConnectorError):
    """Another process is host of the data directory."""


class PortTaken(ConnectorError):
    """Somebody else listens on the gateway's port, or it may not be listened on."""


class SpillInUse(ConnectorError):
    """Another process has the spill file."""


class MasterKeyError(ConnectorError, VaultError):
    """The master key is missing, unreadable, open to others, or not the one that is needed."""


class SuppressionListLost(ConnectorError, VaultError):
    """The list of erased persons does not belong to the vault, or lacks erasures that it made."""


class AddressRefused(ConnectorError):
    """A host has an address that nobody may make this server connect to."""


class Unreachable(ConnectorError):
    """A host could not be found or connected to, or did not answer in time."""


class TopicMismatch(ConnectorError):
    """A topic exists with another number of partitions than is declared."""


class BadDatabase(ConnectorError):
    """The database of countries is missing or is none."""


class DamagedLog(ConnectorError):
    """A log file is damaged, so that its rest cannot be read."""


class ImportFailed(ConnectorError):
    """An import could not go on; what it has added stays, and running it again goes on."""


class ToolMissing(ConnectorError):
    """A program that is needed is not installed."""


class EngineFailed(ConnectorError):
    """An engine could not be fetched or started, or did not stop."""


class RecordTooLarge(ConnectorError, LogError):
    """A record is larger than the log takes."""


class BadLogSettings(ConnectorError):
    """The settings of the log are wrong: of its URL, or an option that its client does not know."""


class Fenced(ConnectorError, LogUnavailable):
    """A transaction took too long and was ended, or another process has begun under the same name."""


class BadStoreSettings(ConnectorError):
    """The settings of the store are wrong: of its URL, its user, or its certificates."""
