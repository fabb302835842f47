"""Why a record was rejected, said without any value of it: values may be personal."""

import traceback


def reason_of(error: Exception, file: str) -> str:
    """The kind of an error, and where in a file it happened."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    if not frames:
        return type(error).__name__
    where = frames[-1]
    name = where.filename.rpartition("/")[2]
    return f"{type(error).__name__} at {name}:{where.lineno} in {where.name}"
