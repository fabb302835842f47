import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable

import pytest
import segno

from connectors.gateway import qr
from streams.errors import RuleBroken

URL = "https://sho.rt/aB3dE5g"


def test_a_png_holds_the_code_of_the_url_with_its_border() -> None:
    rows = pixels(qr.png(URL, size_px=264, border=4))
    assert len(rows) == 264  # 33 modules of 8 pixels
    code = segno.make(URL, error="m", micro=False)
    expected = [list(row) for row in code.matrix_iter(scale=8, border=4)]
    assert rows == expected


def test_a_png_never_exceeds_the_size_asked_for() -> None:
    assert len(pixels(qr.png(URL, size_px=300))) == 297


def test_an_svg_has_exactly_the_size_asked_for() -> None:
    image = ET.fromstring(qr.svg(URL, size_px=300, border=0))
    assert image.tag == "{http://www.w3.org/2000/svg}svg"
    assert (float(image.attrib["width"]), float(image.attrib["height"])) == (300, 300)


def test_different_urls_have_different_codes() -> None:
    assert qr.svg(URL) == qr.svg(URL)
    assert qr.svg(URL) != qr.svg(URL + "x")


@pytest.mark.parametrize("draw", [qr.svg, qr.png])
@pytest.mark.parametrize(
    ("size_px", "border", "field"),
    [(63, 4, "size"), (2_049, 4, "size"), (256, -1, "border"), (256, 17, "border")],
)
def test_sizes_out_of_bounds_are_refused(
    draw: Callable[[str, int, int], bytes], size_px: int, border: int, field: str
) -> None:
    with pytest.raises(RuleBroken) as broken:
        draw(URL, size_px, border)
    assert broken.value.field == field


def test_a_png_too_small_for_its_modules_is_refused() -> None:
    with pytest.raises(RuleBroken, match="ask for"):
        qr.png("https://sho.rt/" + "x" * 64, size_px=64, border=16)


def pixels(png: bytes) -> list[list[int]]:
    """The rows of a PNG of one bit a pixel, 1 for black."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, colour_type = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour_type) == (1, 0)  # grey: 0 is black
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start])
    data = zlib.decompress(png[start + 4 : start + 4 + length])
    stride = (width + 7) // 8
    above = bytes(stride)
    rows = []
    for start in range(0, height * (stride + 1), stride + 1):
        kind, row = data[start], data[start + 1 : start + 1 + stride]
        assert kind in (0, 2)  # as it is, or as a difference to the row above
        if kind == 2:
            row = bytes((a + b) & 0xFF for a, b in zip(above, row, strict=True))
        above = row
        bits = "".join(f"{byte:08b}" for byte in row)
        rows.append([1 - int(bit) for bit in bits[:width]])
    return rows
