"""CSV as it is read everywhere here: strict, line by line, so that every fault is named by its line."""

import csv
from collections.abc import Iterable, Iterator


class TornLineError(Exception):
    """It cannot be told where a line ends: nothing is read from here on."""

    def __init__(self, line: int, reason: str):
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


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
