"""Looks through a content of any size: its bytes, the base64 in them, and what is packed in it, however deep."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from amun.core.errors import join_lines
from amun.scan.base64_runs import decode_runs
from amun.scan.containers import DAMAGED, HEAD_BYTES, Opener, find_decoder
from amun.scan.matcher import OVERLAP, Matcher

BLOCK_BYTES = 1 << 20  # a multiple of the stride between windows, as OVERLAP is
MAX_DEPTH = 5  # of contents in contents


@dataclass
class Finding:
    """What a content has.

    Attributes:
        items: the payloads of which it has a copy, or a part of one.
        files: the labels of the whole files that it is, or that are packed in it.
        num_bytes: read as they lie, without what was decoded of them.
        problems: what of it could not be looked into, a line each.
    """

    items: set[int] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    num_bytes: int = 0
    problems: list[str] = field(default_factory=list)


def scan_content(matcher: Matcher, open_content: Opener) -> Finding:
    """Returns what a content has of the payloads that are looked for.

    Args:
        matcher: knows these.
        open_content: opens it, anew each time.

    Raises:
        OSError: it cannot be read.
    """
    finding = Finding()
    with open_content() as file:
        head, finding.num_bytes = _scan_stream(matcher, file, finding, 0)
    _compare_whole(matcher, open_content, finding.num_bytes, finding)
    _scan_parts(matcher, open_content, head, finding, 0)
    return finding


def scan_bytes(matcher: Matcher, content: bytes) -> Finding:
    """Returns what these bytes have."""
    return scan_content(matcher, partial(io.BytesIO, content))


def _scan_parts(matcher: Matcher, open_content: Opener, head: bytes, finding: Finding, depth: int) -> None:
    """Looks into what is packed in a content that begins so."""
    if (list_parts := find_decoder(head)) is None:
        return
    if depth == MAX_DEPTH:
        finding.problems.append(f"it has contents in contents, more than {MAX_DEPTH} deep")
        return
    try:
        for part in list_parts(open_content):
            with part.open_content() as file:
                if part.is_seen:
                    inner, size = file.read(HEAD_BYTES), part.size
                else:
                    inner, size = _scan_stream(matcher, file, finding, depth + 1)
            _compare_whole(matcher, part.open_content, size, finding)
            _scan_parts(matcher, part.open_content, inner, finding, depth + 1)
    except DAMAGED as error:
        finding.problems.append(join_lines(error) or type(error).__name__)


def _compare_whole(matcher: Matcher, open_content: Opener, size: int, finding: Finding) -> None:
    """Adds the whole files that a content of this size is."""
    if wanted := matcher.files.get(size):
        md5 = hashlib.md5(usedforsecurity=False)
        with open_content() as file:
            while content := file.read(BLOCK_BYTES):
                md5.update(content)
        finding.files |= {one.label for one in wanted if one.md5 == md5.hexdigest()}


def _scan_stream(matcher: Matcher, file: IO[bytes], finding: Finding, depth: int) -> tuple[bytes, int]:
    """Looks through a stream to its end; returns how it begins, and how many bytes it has."""
    head, num_bytes = b"", 0
    for block, num_new in _read_blocks(file):
        head = head or block[:HEAD_BYTES]
        num_bytes += num_new
        matcher.find_items(block, finding.items)
        for decoded in decode_runs(block):
            matcher.find_items(decoded, finding.items)
            if find_decoder(decoded[:HEAD_BYTES]) is not None:
                _scan_parts(matcher, partial(io.BytesIO, decoded), decoded[:HEAD_BYTES], finding, depth + 1)
    return head, num_bytes


def _read_blocks(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yields a stream in blocks, each with the end of the one before, and how many bytes of it are new."""
    before = b""
    while content := _read_full(file):
        yield before + content, len(content)
        if len(content) < BLOCK_BYTES:
            return
        before = content[-OVERLAP:]


def _read_full(file: IO[bytes]) -> bytes:
    """Returns the next block of a stream, which is shorter at its end alone."""
    content = file.read(BLOCK_BYTES)
    if not content or len(content) == BLOCK_BYTES:
        return content
    parts, size = [content], len(content)
    while size < BLOCK_BYTES and (more := file.read(BLOCK_BYTES - size)):
        parts.append(more)
        size += len(more)
    return b"".join(parts)
