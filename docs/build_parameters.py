"""Writes `docs/parameters.md` from the parameters' models, the comments in `params.yaml`, the stages in `dvc.yaml`."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from amun.core.params import EXACT_METHOD, Params
from amun.methods.catalogue import METHODS
from amun.methods.method import Method
from amun.search.catalogue import SEARCHES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/parameters.md"
HEADER = """# Parameters

All of [params.yaml](../params.yaml), written by `make docs` from it and from the models that check it. Every key must
be there; an unknown one is refused. *Stages* are those of `dvc.yaml` that run anew when the key changes; a key without
any is read by the flow or the command line.
"""
# words of JSON Schema that bound a value, and how a reader writes them
BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "minItems": "at least {} entries",
    "pattern": "like `{}`",
}
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}

# what `amun.params` refuses, beside the models
RULES = (
    "- Refuses a source, a search or a method that nobody knows, and a parameter that it has no use for.",
    "- Refuses an attempt that needs target references, their weights or the remain set where these are not there.",
    "- Refuses attempts that could leave a request unhonoured although exact retraining is at hand.",
    "- Refuses to retrain where the remain set is not available.",
)

Schema = dict[str, Any]


def build_page() -> str:
    """Returns the page as it should be."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    shipped, comments = yaml.safe_load(text), dict(_read_comments(text))
    schema = Params.model_json_schema()
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    readers = {stage: set(content.get("params", [])) for stage, content in stages.items()}
    lines = [HEADER]
    for section in schema["properties"]:
        lines += _write_section(section, schema, shipped.get(section), comments, readers)
        if section == "unlearning":
            lines += _list_methods()
    searches = [rule for search in SEARCHES.values() for rule in _list_rules(search.params)]
    return "\n".join([*lines, "## Rules across keys\n", *_list_rules(Params), *searches, *RULES]) + "\n"


def _list_methods() -> Iterator[str]:
    """Yields the methods that an attempt can name, as their files declare them."""
    yield "An attempt names one of these methods, or a function of your own (`package.module:function`); all but"
    yield f"{EXACT_METHOD} need a `learning_rate`. *Needs* is what it cannot work without.\n"
    yield "| method | does | own parameter | needs |"
    yield "|---|---|---|---|"
    for method in METHODS.values():
        own = "" if method.parameter is None else f"`{method.parameter.name}`: {method.parameter.meaning}"
        does = (method.unlearn.__doc__ or "").partition("\n")[0]
        yield f"| `{method.name}` | {does} | {own} | {', '.join(_list_needs(method))} |"
    yield ""


def _list_needs(method: Method) -> Iterator[str]:
    needs = {
        "the remain set": method.needs_remain,
        "adversarial examples": method.needs_adversarial,
        "target references": method.needs_targets,
        "their weights": method.needs_target_weights,
        "a benchmark (it shows what does not work)": method.is_ablation,
    }
    yield from (name for name, is_needed in needs.items() if is_needed)


def _write_section(
    section: str, schema: Schema, shipped: Any, comments: dict[str, str], readers: dict[str, set[str]]
) -> Iterator[str]:
    model = _resolve(schema["properties"][section], schema)
    yield f"## {section}\n"
    yield " ".join([model.get("description", ""), _make_sentence(comments.get(section, ""))]).strip() + "\n"
    yield "| key | values | shipped | meaning | stages |"
    yield "|---|---|---|---|---|"
    fields = list(_walk(section, model, schema))
    if section == "adversarial":
        blocks = {name: SEARCHES[name].params.model_json_schema() for name in shipped if name in SEARCHES}
        fields += [found for name, block in blocks.items() for found in _walk(f"{section}.{name}", block, block)]
    for key, field in fields:
        value = _look_up(shipped, key.split(".")[1:])
        stages = ", ".join(stage for stage, keys in readers.items() if _is_read(key, keys))
        cells = [f"`{key}`", _describe(field, schema), value, comments.get(key, ""), stages]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _walk(prefix: str, model: Schema, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yields each key below a model with its schema; a model within a model by its own keys."""
    for name, field in model["properties"].items():
        inner = _resolve(field, schema)
        if "properties" in inner:
            yield from _walk(f"{prefix}.{name}", inner, schema)
        else:
            yield f"{prefix}.{name}", field


def _resolve(field: Schema, schema: Schema) -> Schema:
    reference = field.get("$ref")
    found: Schema = schema["$defs"][reference.rpartition("/")[2]] if reference else field
    return found


def _describe(field: Schema, schema: Schema) -> str:
    """Returns which values a key may have."""
    field = _resolve(field, schema)
    if "anyOf" in field:
        return " or ".join(_describe(choice, schema) for choice in field["anyOf"])
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    bounds = [form.format(field[name]) for name, form in BOUNDS.items() if name in field]
    if "properties" in field:
        return "; ".join(f"`{name}`: {_describe(part, schema)}" for name, part in field["properties"].items())
    if parts := field.get("prefixItems"):
        kinds = dict.fromkeys(_describe(part, schema) for part in parts)
        return f"list of {len(parts)}, each: {'; '.join(kinds)}" if len(kinds) == 1 else f"list of {'; '.join(kinds)}"
    if field.get("type") == "array":
        kind = f"list of {_describe(field.get('items', {}), schema)}"
    elif field.get("type") == "object":
        kind = "mapping"
    else:
        kind = TYPES.get(field.get("type", ""), "any value")
    return ", ".join([kind, *bounds])


def _look_up(shipped: Any, path: list[str]) -> str:
    for name in path:
        shipped = shipped.get(name) if isinstance(shipped, dict) else None
    if isinstance(shipped, list):
        return "<br>".join(f"`{json.dumps(entry)}`" for entry in shipped)
    return f"`{shipped if isinstance(shipped, str) else json.dumps(shipped)}`"


def _make_sentence(comment: str) -> str:
    return f"{comment[0].upper()}{comment[1:]}." if comment else ""


def _read_comments(text: str) -> Iterator[tuple[str, str]]:
    """Yields the comment of each key, beside it or in the lines above it."""
    above: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        if comment := re.fullmatch(r"\s*# ?(.*)", line):
            above.append(comment[1])
            continue
        if entry := re.match(r"( *)([a-z_0-9]+):(?:.*?\s# ?(.*))?", line):
            path = [*path[: len(entry[1]) // 2], entry[2]]
            if said := " ".join([*above, entry[3] or ""]).strip():
                yield ".".join(path), said
        above = []


def _is_read(key: str, keys: set[str]) -> bool:
    return any(key == read or key.startswith(f"{read}.") or read.startswith(f"{key}.") for read in keys)


def _list_rules(model: type[BaseModel]) -> Iterator[str]:
    """Yields what the models refuse although each key by itself is fine."""
    for validator in model.__pydantic_decorators__.model_validators.values():
        yield f"- {(validator.func.__doc__ or '').strip()}"
    for field in model.model_fields.values():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _list_rules(kind)


if __name__ == "__main__":
    PAGE.write_text(build_page(), encoding="utf-8")
    sys.stdout.write(f"written: {PAGE.relative_to(ROOT)}\n")
