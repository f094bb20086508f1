"""What people read of the tokens of programs that make requests by HTTP."""

from collections.abc import Sequence

from amun.ledger import ApiToken
from flows.pages.layout import moment
from flows.pages.listing import View, choose_page, print_page
from flows.pages.table import Column, Table


def choose_tokens(tokens: Sequence[ApiToken], view: View) -> tuple[Sequence[ApiToken], int]:
    """Returns the page of tokens that is asked for, and how many all pages have; raises as `choose_page`."""
    return choose_page(tokens, view, _tell_cells)


def print_list(tokens: Sequence[ApiToken], view: View, num_tokens: int) -> None:
    """Prints the page of tokens that is asked for."""
    table = Table(Column("token"), Column("scopes"), Column("added", 1), Column("revoked"))
    for one in tokens:
        table.add_row(*_tell_cells(one))
    print_page(table, view, num_tokens, "token")


def _tell_cells(one: ApiToken) -> list[str]:
    revoked = "" if one.revoked_at is None else moment(one.revoked_at)
    return [one.name, " ".join(one.scopes), moment(one.added_at), revoked]
