"""Errors of this room."""


class SixfoldError(Exception):
    """Base class: something that whoever runs the command can mend; the message says how."""


class BadSettings(SixfoldError):
    """A setting is wrong; the message names it with its file and line, or its variable."""


class NoDirectory(SixfoldError):
    """A directory that is needed cannot be made."""


class ImportRunning(SixfoldError):
    """Another import is at work in the data directory."""


class NoHost(SixfoldError):
    """There is no data in the directory, or nobody is host of it."""
