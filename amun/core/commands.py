"""Commands that a person is told to type, as their shell takes them."""

import shlex


def tell_command(*words: object) -> str:
    """Returns a command between backticks, each word quoted where a shell would take it apart."""
    return f"`{shlex.join(map(str, words))}`"
