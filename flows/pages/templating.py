"""The templates of the pages: what is filled into one is text, never markup."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from amun.core.counts import tell_count
from flows.pages.wave_result import tell_moment, tell_percent


def open_template(name: str) -> Template:
    """Returns a template by the name of its file."""
    return _open_environment().get_template(name)


@cache
def _open_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("flows.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": tell_moment, "percent": tell_percent, "tell_count": tell_count}
    return environment
