"""All that is held on one person as a zip file, to hand over."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import TypeAdapter

from amun import __version__
from amun.core.counts import tell_count
from amun.ledger import Request, Wave
from tasks.tools.git import name_tag, run_git
from tasks.tools.new_file import require_free, write_private
from tasks.views.export import Facts, HeldImage, gather_facts, read_answers, read_images
from tasks.workspace.receipts import read_receipts
from tasks.workspace.workspace import Workspace

OPTION = "--to"
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of PNG, by the number of channels
NOT_IN_HERE = "Not in here:"
CONTENTS = """\
requests.json   the person's requests to be forgotten, for every model, and what became of them
waves.json      the waves that have forgotten the person: figures of all their people together
versions.json   the model's versions, and what each has to do with the person
places.json     where copies of the samples lie, or models made from them
samples.csv     what each sample is used for (train, calibration, test), its class, and the waves whose data have it;
                and each near-copy that a wave has made of one (adversarial), with the class that it was taken for
images/         the samples; what has more than 8 bits a colour also as .npy, an array of NumPy; and where the file is
                kept that a sample came in, that file (original), with what it says of place, time and camera
adversarial/    the near-copies, by wave
receipts/       what was stated of the erasure of the person, signed, by request
answers.csv     what reference models answer to the samples (logits, by class), and which were trained on them
"""


def write_export(workspace: Workspace, subject_id: str, path: Path) -> str:
    """Writes a new file of all that is held on a person, its owner's alone; returns what there is to tell, in a line.

    Raises:
        InputError: nobody is called so, or the file cannot be there; the keys are not at hand.
        AmunError: a file is damaged, or a database does not answer.
    """
    root = workspace.root
    require_free(OPTION, path, root)
    facts = gather_facts(workspace, subject_id)
    trace = facts.trace
    receipts = read_receipts(workspace, {request.request_id for request in trace.requests})
    with write_private(OPTION, path) as unfinished, ZipFile(unfinished, "w") as archive:
        num_samples, num_copies = _add_images(archive, read_images(root, trace))
        titles = ["sample_id", "references", "number", "waves", "was_trained", "logits"]
        answers = (list(vars(answer).values()) for answer in read_answers(root, trace))
        _add_table(archive, "answers.csv", [titles, *answers])
        _add_json(archive, "requests.json", [_describe_request(request) for request in trace.requests])
        for request_id, text in receipts.items():
            _add(archive, f"receipts/{request_id}.json", text)
        _add_json(archive, "waves.json", [_describe_wave(wave) for wave in facts.waves])
        _add_json(archive, "versions.json", trace.versions)
        _add_json(archive, "places.json", facts.copies)
        _add(archive, "README.txt", _describe(workspace, facts, num_samples, num_copies))
    return _tell(facts, num_samples, num_copies, path)


def _add_images(archive: ZipFile, images: Iterable[HeldImage]) -> tuple[int, int]:
    """Adds each image once, and a table of them; returns how many samples and how many near-copies these are."""
    rows: dict[str, list[Any]] = {}
    for image in images:
        wave = name_tag(image.waves[0]).rpartition("/")[2]
        name = f"{f'adversarial/{wave}' if image.is_near_copy else f'images/{image.kind}'}/{image.sample_id}"
        # the same sample is in the files of every base
        if name not in rows:
            _add_image(archive, name, image.payload)
            if image.original is not None:
                _add(archive, f"{name}-original.{_find_ending(image.original)}", image.original)
            rows[name] = [image.sample_id, image.kind, image.label, image.class_name, f"{name}.png", []]
        rows[name][-1] += image.waves
    _add_table(archive, "samples.csv", [["sample_id", "kind", "label", "class", "file", "waves"], *rows.values()])
    # a base may have dealt a sample into another split than the one before
    samples = {row[0] for name, row in rows.items() if name.startswith("images/")}
    return len(samples), sum(name.startswith("adversarial/") for name in rows)


def _add_image(archive: ZipFile, name: str, payload: npt.NDArray[Any]) -> None:
    """Adds an image (C, H, W): as PNG, which has 8 bits a colour, and where it has more also as it is."""
    file = io.BytesIO()
    pixels = payload
    if payload.dtype != np.uint8:
        np.save(file, payload)
        _add(archive, f"{name}.npy", file.getvalue())
        pixels = np.round(payload.clip(0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    picture = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    Image.fromarray(picture, MODES[len(pixels)]).save(file, "PNG")
    _add(archive, f"{name}.png", file.getvalue())


def _find_ending(file: bytes) -> str:
    with Image.open(io.BytesIO(file)) as image:
        return {"JPEG": "jpg", "MPO": "jpg"}.get(image.format or "", str(image.format).lower())


def _add_table(archive: ZipFile, name: str, rows: Iterable[Sequence[Any]]) -> None:
    """Adds a table as CSV; numbers that stand together in a field are parted by blanks."""
    file = io.StringIO()
    for row in rows:
        csv.writer(file).writerow([" ".join(map(str, one)) if isinstance(one, (list, tuple)) else one for one in row])
    _add(archive, name, file.getvalue())


def _add_json(archive: ZipFile, name: str, content: Any) -> None:
    _add(archive, name, json.dumps(TypeAdapter(Any).dump_python(content, mode="json"), indent=2, ensure_ascii=False))


def _add(archive: ZipFile, name: str, content: str | bytes) -> None:
    entry = ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    entry.external_attr = 0o600 << 16  # unpacked, a file is its owner's alone, too
    entry.compress_type = ZIP_DEFLATED
    archive.writestr(entry, content)


def _describe_request(request: Request) -> dict[str, Any]:
    """Returns a request without the reasons of holds, rollbacks and a denial: they may be about a dispute, and others.

    Nor does it name who has approved it.
    """
    told = asdict(request)
    undone = [undone for outcome in told["outcomes"] for undone in outcome["undone"]]
    for reasoned in (*told["holds"], *undone, *[told["denial"]] * (request.denial is not None)):
        del reasoned["reason"]
    for hold in told["holds"]:
        hold["approvals"] = [{"approved_at": one["approved_at"]} for one in hold["approvals"]]
    return told


def _describe_wave(wave: Wave) -> dict[str, Any]:
    names = ("model", "number", "commit", "opened_at", "closed_at", "version", "num_requests", "undone_by")
    told = {name: getattr(wave, name) for name in names} | {"tag": name_tag(wave.number)}
    if wave.summary is None:
        return told
    return told | {"method": wave.summary.method, "warning": wave.summary.warning, "figures": wave.summary.test}


def _tell(facts: Facts, num_samples: int, num_copies: int, path: Path) -> str:
    name = repr(facts.trace.subject_id)
    if facts.erased and not num_samples and not num_copies:
        requests = tell_count(len(facts.trace.requests), "request")
        told = [
            f"this workspace can open no sample of {name}: {facts.erased}",
            f"in {path} is what the ledger keeps: {requests}",
        ]
    else:
        told = [f"written: {path}: {_count(facts, num_samples, num_copies)} of {name}"]
        told += [f"{name} is {facts.erased}"] if facts.erased else []
    told += [f"the model {model} holds {count}" for model, count in _count_elsewhere(facts)]
    if facts.is_suppressed:
        told.append("the suppression list has the person")
    if facts.missing:
        told.append(
            f"{tell_count(len(facts.missing), 'file')} not in this cache, which `dvc fetch --all-commits` brings"
        )
    return "; ".join(told)


def _count(facts: Facts, num_samples: int, num_copies: int) -> str:
    samples, copies = tell_count(num_samples, "sample"), tell_count(num_copies, "near-copy", "near-copies")
    return f"{samples}, {copies} and {tell_count(len(facts.trace.requests), 'request')}"


def _count_elsewhere(facts: Facts) -> list[tuple[str, str]]:
    """Returns how many samples each other model holds."""
    return [
        (model, tell_count(holding.num_train + holding.num_held_out, "sample"))
        for model, holding in facts.elsewhere.items()
    ]


def _describe(workspace: Workspace, facts: Facts, num_samples: int, num_copies: int) -> str:
    """Returns what is in the file and what is not, for whoever opens it."""
    trace = facts.trace
    commit = run_git(workspace.root, "rev-parse", "HEAD")
    lines = [
        f"What {trace.model} holds on {trace.subject_id}: {_count(facts, num_samples, num_copies)}",
        f"Written on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by amun {__version__} (workspace at commit {commit})",
        "",
        CONTENTS,
    ]
    if facts.erased:
        lines.append(f"This person is {facts.erased}: what nobody can open any more is not in here.")
    if facts.is_suppressed:
        lines.append("A suppression list has keyed digests of the person, which keep the samples from coming in again.")
    if facts.shared:
        lines.append(f"{facts.shared}. {NOT_IN_HERE} those of others.")
    lines += [
        f"{NOT_IN_HERE} {count} of this person in the model {model}; the same command writes them there."
        for model, count in _count_elsewhere(facts)
    ]
    lines += [
        f"{NOT_IN_HERE} {file.path} of wave {', '.join(map(str, file.waves))}, which is not in the cache."
        for file in facts.missing
    ]
    lines.append(f"{NOT_IN_HERE} models' weights, the source of the data, and what places.json calls not looked into.")
    return "\n".join(lines) + "\n"
