"""Pillow as it is used here: sound pictures whatever their metadata hold, their depth and orientation, no warnings."""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

# of 16 bits or more, of which converting would keep an arbitrary part
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# what Pillow calls 16 bits a channel in a file whose mode it gives as 8 (`BGR;16` is 16 bits a pixel)
DEEP_LAYOUT = re.compile(r";16[BLN]$")
DEEP_CODECS = ("SGI16",)
HEAD_BYTES = 1 << 16
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# of a PNG file, what says nothing of its pixels
METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs")
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_picture(file: Path | io.BytesIO) -> Image.Image:
    """Returns an image file opened; a PNG whose metadata are torn is sound all the same.

    Raises:
        UnidentifiedImageError: it is no image.
        OSError: it is not there, or cannot be read.
    """
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        content = file.read_bytes() if isinstance(file, Path) else file.getvalue()
        mended = _drop_torn_metadata(content)
        if len(mended) == len(content):
            raise
        return Image.open(io.BytesIO(mended))


def read_file(image: Image.Image) -> bytes:
    """Returns the whole file that an image was opened over, before it is decoded; nothing where it lies in none."""
    file = getattr(image, "fp", None)
    if file is None:
        return b""
    place = file.tell()  # some decoders begin where the header has ended
    file.seek(0)
    content: bytes = file.read()
    file.seek(place)
    return content


@contextmanager
def hush_pillow() -> Iterator[None]:
    """Keeps Pillow's warnings, which name files, from between our lines: what cannot be used is told by us."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def ignore_warnings() -> None:
    """Keeps Pillow's warnings from the log for good, for threads, which `hush_pillow` does not bear; called once."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def find_depth(image: Image.Image) -> str:
    """Returns how an opened image's pixels lie in the file where they have more than 8 bits; else an empty text."""
    if image.mode in DEEP_MODES:
        return f"mode {image.mode}"
    for tile in getattr(image, "tile", ()):
        layout: list[Any] = [tile.args] if isinstance(tile.args, str) else list(tile.args or ())
        if tile.codec_name in DEEP_CODECS or any(isinstance(part, str) and DEEP_LAYOUT.search(part) for part in layout):
            return f"{image.format}, 16 bits a channel"
        if tile.codec_name.startswith("ppm") and layout[1] > 255:
            return f"{image.format}, values up to {layout[1]}"
    bits = _read_bits(image)
    return f"{image.format}, {bits} bits a channel" if bits > 8 else ""


def turn_upright(image: Image.Image) -> Image.Image:
    """Returns the image rotated and mirrored as its EXIF orientation says; as it is where that cannot be read."""
    image.load()
    method = TRANSPOSES.get(read_orientation(image))
    return image if method is None else image.transpose(method)


def read_orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 where there is none, or none that can be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # what it raises on a torn block depends on where it is torn
        return 1
    return orientation if isinstance(orientation, int) and orientation in TRANSPOSES else 1


def _read_bits(image: Image.Image) -> int:
    """Returns the bits a channel that the header of a format says which Pillow always gives as 8."""
    file = getattr(image, "fp", None)
    if image.format not in ("JPEG2000", "AVIF") or file is None:
        return 8
    place = file.tell()
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(place)
    if image.format == "AVIF":
        found = head.find(b"av1C")  # marker and version, profile and level, then flags: tier, more than 8 bits, 12 bits
        flags = head[found + 6 : found + 7] if found >= 0 else b""
        return 8 if not flags or not flags[0] & 0x40 else 12 if flags[0] & 0x20 else 10
    found = head.find(b"\xff\x4f\xff\x51")  # the size of the image: 36 bytes, then of each component depth and steps
    count = head[found + 40 : found + 42]
    if found < 0 or len(count) < 2:
        return 8
    depths = head[found + 42 : found + 42 + 3 * struct.unpack(">H", count)[0] : 3]
    return max(((depth & 0x7F) + 1 for depth in depths), default=8)


def _drop_torn_metadata(content: bytes) -> bytes:
    """Returns a PNG file without the metadata whose checksum is wrong; what is no PNG file as it is."""
    if not content.startswith(PNG_SIGNATURE):
        return content
    kept, place = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while place + 12 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunk, place = content[place : place + 12 + length], place + 12 + length
        is_torn = struct.pack(">I", zlib.crc32(chunk[4:-4])) != chunk[-4:]
        if not (is_torn and chunk[4:8] in METADATA):
            kept.append(chunk)
    return b"".join([*kept, content[place:]])
