"""All that a wave has come to, compared between workspaces that have keys of their own."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    BASE_MODEL,
    CALIBRATION,
    HELD_OUT_ADVERSARIAL,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TEST,
    TRAIN,
    UNLEARNED,
    WAVE,
    WAVE_BASE,
)
from tests.workspaces import Site, read_tree

STORES = (
    *(TRAIN, CALIBRATION, TEST),
    *(AUDIT_LOGITS, AUDIT_INCLUSION, TARGET_LOGITS, TARGET_INCLUSION),
    *(ADVERSARIAL, HELD_OUT_ADVERSARIAL),
)
WEIGHTS = (BASE_MODEL, WAVE_BASE, UNLEARNED)


def digest_results(site: Site) -> dict[str, str]:
    """Returns the SHA-256 of all that a wave has come to, opened: each workspace seals it under keys of its own.

    A sample's id is made with its person's key: it is named by its place.
    """
    places = {
        sample_id: f"{path}, row {number}"
        for path in (TRAIN, CALIBRATION, TEST)
        for number, sample_id in enumerate(site.read(path).sample_ids.tolist())
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in list_results(site, places)}


def list_results(site: Site, places: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the content of each result."""
    for path in STORES:
        samples = site.read(path)
        yield f"{path}, samples", json.dumps([places[one] for one in samples.sample_ids.tolist()]).encode()
        yield f"{path}, people", json.dumps(samples.subject_ids.tolist()).encode()
        yield f"{path}, labels", json.dumps(samples.labels.tolist()).encode()
        yield f"{path}, {samples.payloads.dtype}", samples.payloads.contiguous().numpy().tobytes()
    for path in WEIGHTS:
        for name, weights in sorted(site.read_weights(path).items()):
            yield f"{path}, {name}", weights.contiguous().numpy().tobytes()
    for folder in ("metrics", "plots"):
        for name, content in read_tree(site.root / folder).items():
            yield f"{folder}/{name}", content
    for path in (site.root / WAVE).parent.glob("*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        if path.name == WAVE.name:
            del told["base_digest"]  # of the sealed file
        yield str(path.relative_to(site.root)), json.dumps(name_places(told, places)).encode()


def name_places(told: Any, places: dict[str, str]) -> Any:
    """Returns what a record tells, with a place instead of each sample's id."""
    if isinstance(told, dict):
        return {name: name_places(value, places) for name, value in told.items()}
    if isinstance(told, list):
        named = [name_places(value, places) for value in told]
        # ids stand there in their own order
        return sorted(named) if named and all(isinstance(one, str) and one in places for one in told) else named
    return places.get(told, told) if isinstance(told, str) else told
