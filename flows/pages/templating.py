"""The templates of the pages: what is filled into one is text, never markup."""

from functools import cache

from jinja2 import Environment, Template

from amun.core.templating import open_environment
from flows.pages.wave_result import tell_moment, tell_percent


def open_template(name: str) -> Template:
    """Returns a template by the name of its file."""
    return _open_environment().get_template(name)


@cache
def _open_environment() -> Environment:
    environment = open_environment("flows.pages")
    environment.filters |= {"moment": tell_moment, "percent": tell_percent}
    return environment
