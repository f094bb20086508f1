"""Templates of the pages that are written: what is filled into one is text, never markup."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from amun.core.counts import tell_count


def open_environment(package: str) -> Environment:
    """Returns what fills in the templates of a package; a name that is not given is an error."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tell_count"] = tell_count
    return environment
