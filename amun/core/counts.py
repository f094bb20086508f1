"""How many there are of a thing, and how long something takes, as people say it."""


def tell_count(number: int, one: str, many: str = "") -> str:
    """Returns `1 request`, or `2 requests`.

    Args:
        number: how many.
        one: the thing in the singular, with what stands before it.
        many: its plural, where that is not the singular and an s.
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def describe_seconds(seconds: float) -> str:
    """Returns seconds in the unit that suits them."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
