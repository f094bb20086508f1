"""Inputs that are not what they should be: whoever reads one takes it, or says in a line why not."""

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from amun.core.errors import AmunError
from amun.evidence.attempts import Summary
from amun.evidence.wave import Attempt, Wave, parse_forgotten, parse_record
from amun.ledger import Ledger
from amun.ledger.demand_files import parse_demands
from amun.params import load_params
from amun.receipts.entries import parse_entry
from amun.receipts.statement import read_receipt
from tests.amun.ledger.helpers import build_base
from tests.api import make_workspace, serve_api

ROOT = Path(__file__).parent.parent.parent
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "0", "-1", "1e999", "../x", "~", "null", "yes", "2026-01-01", "\x00", "s3://", "*/2 * * * *"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
JSON = VALUES.map(lambda value: json.dumps(value, ensure_ascii=False))


def try_inputs(num_inputs: int, number: int) -> int:
    """Gives each reader its share of wrong inputs; returns how many these were.

    Args:
        num_inputs: of all kinds together.
        number: the seed.

    Raises:
        Exception: what a reader did not tell in a line, with the input.
    """
    # the parameters take 17 ms each, the others a few
    share = num_inputs // 10
    return (
        _try(read_params_like, st.data(), share, number)
        + _try(read_demands_like, CSV, 4 * share, number)
        + _try(read_records_like, RECORDS, 3 * share, number)
        + _try_calls(2 * share, number)
    )


def _try(read: Callable[[Any], None], inputs: st.SearchStrategy[Any], num_inputs: int, number: int) -> int:
    count = 0

    @seed(number)
    @settings(
        max_examples=num_inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(inputs)
    def check(content: Any) -> None:
        nonlocal count
        count += 1
        read(content)

    check()
    return count


PARAMS = (ROOT / "params.yaml").read_bytes()


def read_params_like(data: st.DataObject) -> None:
    """Reads parameters of which one thing is another, or whose bytes are."""
    if data.draw(st.booleans()):
        content = _change_bytes(data, PARAMS)
    else:
        tree = yaml.safe_load(PARAMS)
        _change_value(data, tree)
        content = yaml.safe_dump(tree, allow_unicode=True).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(content)
        _read(lambda: load_params(path))


def _change_value(data: st.DataObject, tree: Any) -> None:
    """Puts another value, another key or nothing in one place of a tree."""
    while True:
        place = data.draw(st.sampled_from(sorted(tree)) if isinstance(tree, dict) else st.integers(0, len(tree) - 1))
        below = tree[place]
        if not isinstance(below, dict | list) or not below or data.draw(st.integers(0, 3)) == 0:
            break
        tree = below
    match data.draw(st.sampled_from(["value", "key", "nothing"])):
        case "value":
            tree[place] = data.draw(VALUES)
        case "key" if isinstance(tree, dict):
            tree[data.draw(st.text(max_size=12) | LEAVES.filter(lambda key: key == key))] = data.draw(VALUES)
        case _:
            del tree[place]


def _change_bytes(data: st.DataObject, content: bytes) -> bytes:
    """Returns bytes of which some are others, or gone, or more."""
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 40))
    return content[:start] + data.draw(st.binary(max_size=40)) + content[start + length :]


FIELD = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["subject_id", "received_at", "reference", "law", "gdpr", "2025-12-01", "2025-13-01T25:00", '"', ""]
    ),
)
CSV = st.one_of(
    st.binary(max_size=200),
    st.lists(st.lists(FIELD, max_size=5).map(",".join), max_size=6).map("\n".join).map(lambda t: t.encode("utf-8")),
    st.lists(st.lists(FIELD, max_size=5).map(",".join), max_size=6).map(
        lambda rows: "\r\n".join(["subject_id,received_at,reference,law", *rows]).encode("utf-16")
    ),
)


def read_demands_like(content: bytes) -> None:
    """Reads a file of demands, whose first 20 faults are told, one a line."""
    _read(lambda: parse_demands(content, NOW), 22)


RECORDS = st.one_of(JSON, st.text(max_size=60), st.just("[" * 100_000), st.just('{"number": 1e400}'))


def read_records_like(text: str) -> None:
    """Reads a file of the workspace that holds JSON, and a receipt as somebody sends it."""
    for record in (Wave, Attempt, Summary):
        _read(lambda record=record: parse_record(record, text, "wave/x.json"))  # type: ignore[misc]
    _read(lambda: parse_forgotten(text, "wave/forgotten.json"))
    _read(lambda: parse_entry(text, "line 1"))
    _read(lambda: read_receipt(text, "receipt.json"))


def _read(read: Callable[[], object], num_lines: int = 1) -> None:
    """Reads what may be wrong; an error of this software has so many lines at most."""
    told = ""
    try:
        read()
    except AmunError as error:
        told = error.told
    assert len(told.splitlines()) <= num_lines, told


BODIES = st.one_of(
    st.binary(max_size=80),
    JSON.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.fixed_dictionaries({}, optional={"subject_id": VALUES, "law": VALUES, "received_at": VALUES, "x": VALUES}).map(
        lambda body: json.dumps(body).encode()
    ),
)
CALLS = st.tuples(
    st.sampled_from(["POST", "GET", "PUT", "DELETE", "PATCH"]),
    st.sampled_from(["/requests", "/requests/", "/requests/R-000001", "/requests/%00", "/requests/R-1/receipt", "/x"]),
    BODIES,
    st.dictionaries(
        st.sampled_from(["Idempotency-Key", "Content-Type", "Authorization", "Content-Encoding"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
        max_size=3,
    ),
)


def _try_calls(num_calls: int, number: int) -> int:
    """Makes calls of the application over HTTP: none is a fault of the server's."""
    with tempfile.TemporaryDirectory() as folder, Ledger.create(f"sqlite:///{folder}/ledger.db") as ledger:
        build_base(ledger, ["ann", "ben"])
        with serve_api(make_workspace(), ledger) as served:

            def call(made: tuple[str, str, bytes, dict[str, str]]) -> None:
                method, path, body, headers = made
                answer = served.client.request(method, path, content=body, headers=headers)
                assert answer.status_code < 500, (made, answer.text)

            return _try(call, CALLS, num_calls, number)
