"""How many processors this process may use."""


def count_processors() -> int:
    """Returns their number: of those that it is bound to, no more than its container's share of time comes to."""
    from joblib import cpu_count  # only here: it takes a fifth of a second

    return int(cpu_count())
