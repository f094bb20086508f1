"""Judges a month from outside: by what was asked, by git, MLflow's registry and the bytes on disk."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from bench.month.days import Month
from bench.month.kept import Times, find_pictures, find_untimely
from tests.registry import open_client
from tests.workspaces import MODEL, Site, describe

TOLERANCE = timedelta(minutes=5)  # between the call of a command and what it records
NUM_SEARCHED = 8  # people whose pictures are looked for in all bytes of the workspace
NUM_VERIFIED = 5  # receipts that are verified as whoever holds one does


def find_faults(month: Month) -> list[str]:
    """Returns what is not as it has to be after a month, a line each."""
    site = month.site
    requests, erasures = site.load("request", "list", "--all"), site.load("erase", "list", "--all")
    people = {one.ask.subject for one in month.desk.asked if not one.ask.is_stranger}
    return [
        *month.faults,
        *(f"the file of {one.ask.subject} was not rejected" for one in month.meant),
        *judge_requests(month, requests),
        *_judge_lines(site),
        *_judge_erased(month, people, requests),
        *_judge_receipts(site, erasures, month.folder, month.seed),
        *_judge_alerts(month),
    ]


def judge_requests(month: Month, requests: list[dict[str, Any]]) -> Iterator[str]:
    """Everybody who has asked has one request, forgotten and erased before its own due date; nobody else has any."""
    due = month.find_due_dates()
    strangers = {one.ask.subject for one in month.desk.asked if one.ask.is_stranger}
    counts = Counter(one["subject_id"] for one in requests)
    yield from (f"{person} has asked, and has {counts[person]} requests" for person in due if counts[person] != 1)
    yield from (f"{person} has a request, and has not asked" for person in counts if person not in due)
    for one in requests:
        person, outcome = one["subject_id"], one["outcomes"][0]
        if person not in due:
            continue
        if abs(datetime.fromisoformat(one["due_at"]) - due[person]) > TOLERANCE:
            yield f"{one['request_id']} is due {one['due_at']}, and has to be due {due[person]}"
        if person in strangers:
            if outcome["state"] != "nothing_held":
                yield f"{one['request_id']} of somebody who is in no data is {outcome['state']}"
            continue
        erased_at = (outcome["erasure"] or {}).get("erased_at")
        if outcome["state"] != "completed" or erased_at is None:
            yield f"{one['request_id']} is {outcome['state']}, and erased: {erased_at}"
        elif not datetime.fromisoformat(outcome["decided_at"]) < datetime.fromisoformat(erased_at) < due[person]:
            yield f"{one['request_id']} is erased at {erased_at}, and was due {due[person]}"


def _judge_lines(site: Site) -> Iterator[str]:
    """Ledger, git's tags and the registry tell of the same waves, in one line, and nothing is left to be mended."""
    waves = site.load("wave", "list", "--all")
    numbers = [wave["number"] for wave in waves]
    if numbers != list(range(len(waves))) or {wave["state"] for wave in waves} != {"complete"}:
        yield f"the waves are {[(wave['number'], wave['state']) for wave in waves]}"
    tags = site.git("tag", "--list", "wave/*").split("\n")
    if tags != [f"wave/{number:04d}" for number in numbers]:
        yield f"git has the tags {tags}"
    found = open_client(site).search_model_versions(f"name = '{MODEL}'")
    versions = {int(version.tags["amun.wave"]): version.tags["amun.commit"] for version in found}
    if sorted(versions) != numbers or len(found) != len(waves):
        yield f"the registry has versions of the waves {sorted(versions)}"
    last = tags[0]
    for wave in waves:
        number, tag = wave["number"], f"wave/{wave['number']:04d}"
        commits = {wave["commit"], site.git("rev-parse", f"{tag}^{{commit}}"), versions.get(number, "")}
        if len(commits) != 1:
            yield f"wave {number} is in the commits {sorted(commits)}, by ledger, git and registry"
        if number and wave["parent_version"] != waves[number - 1]["version"]:
            yield f"wave {number} was made from version {wave['parent_version']}"
        if site.git("merge-base", last, tag) != site.git("rev-parse", f"{last}^{{commit}}"):
            yield f"{tag} does not descend from {last}"
        last = tag
    yield from _judge_state(site)


def _judge_state(site: Site) -> Iterator[str]:
    for command in ("status", "check"):
        finished = site.start("amun", command)
        if finished.returncode != 0:
            yield f"amun {command}: {describe(finished)}"
    # the disk dates files by the machine's clock, which is not the month's
    found = json.loads(site.start("amun", "doctor", "--json").stdout)["found"]
    yield from (f"amun doctor: {one['what']}" for one in found if one["about"] != "clock")
    if status := site.git("status", "--porcelain"):
        yield f"git status: {status}"


def _judge_erased(month: Month, people: set[str], requests: list[dict[str, Any]]) -> Iterator[str]:
    """Nobody can read who is erased, from then on: neither in what is there nor in what was kept from the first day."""
    site, kept = month.site, month.kept
    finished = site.start("amun", "erase", "verify")
    if finished.returncode != 0:
        yield f"amun erase verify: {describe(finished)}"
    readable = kept.find_readable(site)
    yield from (f"the keys open what was kept of {person}, who is erased" for person in sorted(readable & people))
    rest = set(kept.pictures) - people
    yield from (f"no key opens what was kept of {person}, who stays" for person in sorted(rest - readable))
    yield from find_untimely(month.looks, dict(_read_times(requests)))
    searched = [person for person in kept.pictures if person in people][:NUM_SEARCHED]
    pictures = {person: kept.pictures[person] for person in searched}
    yield from find_pictures([site.root, month.folder / "remote"], pictures)


def _read_times(requests: list[dict[str, Any]]) -> Iterator[tuple[str, Times]]:
    for one in requests:
        outcome = one["outcomes"][0]
        if erased_at := (outcome["erasure"] or {}).get("erased_at"):
            forgotten_at = datetime.fromisoformat(outcome["decided_at"])
            yield one["subject_id"], Times(forgotten_at, datetime.fromisoformat(erased_at))


def _judge_receipts(site: Site, erasures: list[dict[str, Any]], folder: Path, seed: int) -> Iterator[str]:
    """Everybody who is erased has a receipt, and whoever holds one can verify it."""
    finished = site.start("amun", "receipt", "check")
    if finished.returncode != 0:
        yield f"amun receipt check: {describe(finished)}"
    listed = {one["request_id"] for one in site.load("receipt", "list", "--all")}
    yield from (f"{one['request_id']} has no receipt" for one in erasures if one["request_id"] not in listed)
    key = folder / "public.pem"
    site.run("amun", "receipt", "key", "--to", str(key))
    for one in Random(seed).sample(erasures, min(NUM_VERIFIED, len(erasures))):  # noqa: S311 - of a test, no secret
        file, chain = folder / f"{one['request_id']}.json", site.root / "receipts/chain.jsonl"
        site.run("amun", "receipt", "export", one["request_id"], "--to", str(file))
        options = ("--public-key", str(key), "--chain", str(chain), "--subject", one["subject_id"])
        finished = site.start("amun", "receipt", "verify", str(file), *options)
        if finished.returncode != 0:
            yield f"the receipt of {one['request_id']}: {describe(finished)}"


def _judge_alerts(month: Month) -> Iterator[str]:
    """Everybody was told what was due, once, and nothing else."""
    yield from month.receivers.faults
    yield from month.receivers.find_differences()
    yield from month.find_repeated()
    yield from month.compare_alerts()
