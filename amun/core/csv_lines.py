"""CSV as it is read everywhere here: strict, line by line, so that every fault is named by its line."""

import codecs
import csv
from collections.abc import Iterable, Iterator


class TornLineError(Exception):
    """It cannot be told where a line ends: nothing is read from here on."""

    def __init__(self, line: int, reason: str):
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def decode_text(content: bytes) -> str:
    """Returns a file's text: UTF-8, with or without a byte order mark, or UTF-16 with one; its line ends stay.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8-sig")


def read_lines(text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields each line that is not empty, with its number from 1; where a field has line breaks, the first line's.

    Args:
        text: a file opened with `newline=""`, or its lines.

    Raises:
        TornLineError: a quotation mark is not closed, or stands where none may.
    """
    reader = csv.reader(text, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise TornLineError(line, str(error)) from None


def describe_count(num_fields: int, num_columns: int) -> str:
    """Returns what is wrong with a line that has more or fewer fields than its header."""
    advice = "; a value with a comma in it stands in quotation marks" if num_fields > num_columns else ""
    return f"{num_fields} field{'s' * (num_fields != 1)} where the header names {num_columns}{advice}"
