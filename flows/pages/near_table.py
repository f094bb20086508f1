"""What people read of pictures that are nearly a person's."""

from collections.abc import Sequence

from flows.pages.table import new_table, print_table
from tasks.workspace.near_pictures import NearPicture


def print_near(found: Sequence[NearPicture]) -> None:
    """Prints whose pictures they are, the nearest first."""
    if not found:
        print("nobody else's picture is as near to one of this person's as a copy of it that was encoded anew")
        return
    table = new_table("person", "sample", "in", "nearest of this person's", "difference", "of a copy")
    for near in found:
        figures = (f"{near.difference:.1f}", f"{near.bound:.1f}")
        table.add_row(near.subject_id, near.sample_id, near.path.name, near.own_id, *figures)
    print_table(table)
