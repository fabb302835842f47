"""The garbage collector of a process that serves."""

import gc

# Most objects live long (state, code) or die young (events, requests); looking through the old ones
# again and again takes milliseconds each time and finds nothing.
_THRESHOLDS = (50_000, 50, 100)


def settle() -> None:
    """The process has loaded what it will keep: leave that alone, and look less often."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def unsettle() -> None:
    """The process ends: let what is left be found, so that libraries can clean up."""
    gc.unfreeze()
