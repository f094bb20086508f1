"""Of an encoded image file the part that is the picture's: what stands before it is the same in many files."""

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_SCAN = 0xDA  # of a JPEG file: the compressed picture follows
_ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a length
_HEAD_SHARE = 4  # of other formats the first quarter is taken for a head


def find_body(content: bytes) -> bytes:
    """Returns the bytes from where the compressed picture begins; of a format that is not known, three quarters."""
    if content.startswith(_JPEG):
        return content[_skip_jpeg(content) :]
    if content.startswith(_PNG):
        return content[_skip_png(content) :]
    return content[len(content) // _HEAD_SHARE :]


def _skip_jpeg(content: bytes) -> int:
    """Returns where the first scan begins: a preview in the head has one of its own, inside a segment."""
    place = len(_JPEG)
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        length = 0 if marker in _ALONE or marker == 0xFF else int.from_bytes(content[place + 2 : place + 4])
        place += 1 if marker == 0xFF else 2 + length
        if marker == _SCAN:
            return place
    return len(content) // _HEAD_SHARE


def _skip_png(content: bytes) -> int:
    """Returns where the first chunk of pixels begins."""
    place = len(_PNG)
    while place + 8 <= len(content):
        if content[place + 4 : place + 8] == b"IDAT":
            return place + 8
        place += 12 + int.from_bytes(content[place : place + 4])
    return len(content) // _HEAD_SHARE
