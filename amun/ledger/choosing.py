"""Which requests a list is made of: the conditions, as the database reads them."""

import re
from collections.abc import Sequence
from typing import get_args

from sqlalchemy import ColumnElement, Select, or_, select

from amun.core.errors import InputError
from amun.core.subject_ids import normalise
from amun.ledger.records import OutcomeState
from amun.ledger.schema import OutcomeRow, RequestRow


def choose_requests(model: str | None, state: str | None, search: str) -> list[ColumnElement[bool]]:
    """Returns the conditions on requests and outcomes.

    Args:
        model: of the outcome; None is any.
        state: of the outcome; None is any.
        search: what id, subject or reference holds, in whatever case; empty for every request.

    Raises:
        InputError: there is no such state.
    """
    if state is not None and state not in get_args(OutcomeState):
        raise InputError(f"unknown state '{state}' of a request; known are {', '.join(get_args(OutcomeState))}")
    conditions = []
    if model is not None:
        conditions.append(OutcomeRow.model == model)
    if state is not None:
        conditions.append(OutcomeRow.state == state)
    if search:
        conditions.append(_holds(search))
    return conditions


def select_numbers(conditions: Sequence[ColumnElement[bool]]) -> Select[tuple[int]]:
    """Returns the query of the numbers of the requests for which the conditions hold, each once."""
    joined = select(RequestRow.number).join(OutcomeRow, OutcomeRow.request_number == RequestRow.number)
    return joined.where(*conditions).distinct()


def _holds(search: str) -> ColumnElement[bool]:
    # ids are kept composed; a reference stays as it came
    found = or_(
        RequestRow.subject_id.icontains(normalise(search), autoescape=True),
        RequestRow.reference.icontains(search, autoescape=True),
    )
    number = re.fullmatch(r"R-([0-9]{6,9})", search, re.IGNORECASE)
    return or_(found, RequestRow.number == int(number[1])) if number else found
