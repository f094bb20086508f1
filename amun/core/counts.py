"""How many there are of a thing, and how long something takes, as people say it."""


def tell_count(number: int, one: str, many: str = "") -> str:
    """Returns `1 request`, or `2 requests`.

    Args:
        number: how many.
        one: the thing in the singular, with what stands before it.
        many: its plural, where that is not the singular and an s.
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def tell_forgotten(num_people: int, num_canaries: int) -> str:
    """Returns whom a wave forgot: `2`, or `2 and 40 canaries`, who had not asked."""
    return f"{num_people} and {tell_count(num_canaries, 'canary', 'canaries')}" if num_canaries else str(num_people)


def describe_seconds(seconds: float) -> str:
    """Returns seconds in the unit that suits them."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
