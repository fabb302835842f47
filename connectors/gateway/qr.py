"""QR codes of short URLs."""

from io import BytesIO

import segno

from streams.errors import RuleBroken

MIN_SIZE_PX, MAX_SIZE_PX = 64, 2_048
MAX_BORDER = 16
QUIET_ZONE = 4  # modules of border that ISO/IEC 18004 asks for


def svg(url: str, size_px: int = 256, border: int = QUIET_ZONE) -> bytes:
    """An SVG image of exactly this size.

    Args:
        border: in modules, the squares that the code is made of.

    Raises:
        RuleBroken: size or border is out of bounds.
    """
    code = _code(url, size_px, border)
    width, _ = code.symbol_size(border=border)
    image = BytesIO()
    code.save(image, kind="svg", scale=size_px / width, border=border, light="white")
    return image.getvalue()


def png(url: str, size_px: int = 256, border: int = QUIET_ZONE) -> bytes:
    """A PNG image as large as whole pixels per module allow within this size.

    Args:
        border: in modules, the squares that the code is made of.

    Raises:
        RuleBroken: size or border is out of bounds, or the code has more modules than pixels.
    """
    code = _code(url, size_px, border)
    width, _ = code.symbol_size(border=border)
    if width > size_px:
        raise RuleBroken("size", f"too small for this URL: ask for {width} pixels or more")
    image = BytesIO()
    code.save(image, kind="png", scale=size_px // width, border=border)
    return image.getvalue()


def _code(url: str, size_px: int, border: int) -> segno.QRCode:
    """A code that is read even if a seventh of it is damaged (level M)."""
    if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        raise RuleBroken("size", f"must be from {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels")
    if not 0 <= border <= MAX_BORDER:
        raise RuleBroken("border", f"must be from 0 to {MAX_BORDER} modules")
    return segno.make(url, error="m", micro=False)
