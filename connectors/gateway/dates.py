"""The Date header, made once a second."""

from email.utils import formatdate


class DateLine:
    """The `Date` header of the current second as a line, for answers that are put together by hand."""

    def __init__(self, now_s: float) -> None:
        self.line = b""
        self.refresh(now_s)

    def refresh(self, now_s: float) -> None:
        """Set the time, in seconds since 1970."""
        self.line = b"date: " + formatdate(now_s, usegmt=True).encode() + b"\r\n"
