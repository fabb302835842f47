"""Why a record was rejected, said without any value of it: values may be personal."""

import traceback


def reason_of(error: Exception) -> str:
    """The kind of an error and where in the fold it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    where = frames[-1] if frames else None
    place = (
        f" at {where.filename.rpartition('/')[2]}:{where.lineno} in {where.name}" if where else ""
    )
    return f"{type(error).__name__}{place}"
