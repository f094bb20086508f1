"""How many there are of a thing, as people say it."""


def tell_count(number: int, one: str, many: str = "") -> str:
    """Returns `1 request`, or `2 requests`.

    Args:
        number: how many.
        one: the thing in the singular, with what stands before it.
        many: its plural, where that is not the singular and an s.
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"
