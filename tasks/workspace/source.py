"""The source around the stage that reads it: brought to hand before, what came of it after.

No Prefect in here: `amun init` looks at the source before there is a server.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.params import DataParams
from amun.core.paths import EXCLUSIONS, PREPARE_METRICS, is_bucket, locate_source
from amun.evidence.adoption import Adopted, read_adopted
from amun.evidence.figures import PrepareFigures, Twins, read_figures
from amun.evidence.wave import parse_record
from amun.store.canary_list import refuse_drawn
from amun.store.sources.revision import find_dvc_file, is_complete, require_files
from amun.vault.vault import open_vault, read_suppression
from tasks.tools import dvc
from tasks.tools.git import list_files, read_committed
from tasks.workspace.mirror import GLANCE_OBJECTS, Update, glance_at_bucket, update_mirror

if TYPE_CHECKING:
    from amun.store.alike import Size
    from amun.store.sources.catalogue import Listing

# of a folder that holds data, what git keeps beside it
_NO_DATA = (".gitignore", ".dvc")


def refresh_source(root: Path, data: DataParams) -> Update | None:
    """Brings the mirror of a source on S3 up to date; None where there is none.

    Raises:
        InputError: files under DVC are not what their `.dvc` file says, so that the lineage would name others.
        AmunError: S3 does not answer or refuses.
    """
    if data.root is not None and is_bucket(data.root):
        return update_mirror(root, data.root)
    require_files(data.root, root)
    if (file := find_dvc_file(data.root, root)) is not None:
        dvc.require_unchanged(root, file)
    return None


def inspect_source(root: Path, data: DataParams) -> tuple["Listing", "Size"]:
    """Returns what the source has, and the (height, width) of its images, from their headers.

    To be called before anything is created, or a wave is opened, for it.

    Raises:
        InputError: what cannot be used, all of it; or images lie where git would take them.
        AmunError: S3 does not answer or refuses.
    """
    from amun.store.images import check_images
    from amun.store.sources.catalogue import list_source

    require_unknown_to_git(root, data.root)
    if (update := refresh_source(root, data)) is not None:
        print(
            f"  {data.root}: {tell_count(update.num_objects, 'object')}, {update.num_fetched} fetched, "
            f"{update.num_deleted} gone since the last time",
            flush=True,
        )
    folder = locate_source(data.root)
    listing = _excuse(root, data, list_source(data.source, None if folder is None else root / folder, data.options))
    refuse_drawn(data.canaries, names_people=listing.subject_ids is not None)
    return listing, check_images(listing, data.images)


def _excuse(root: Path, data: DataParams, listing: "Listing") -> "Listing":
    """Returns a listing in which nobody who is erased is missed; before there is a key store nobody is."""
    if not listing.absent or not open_vault(root).store.is_made():
        return listing
    return listing.excuse(read_suppression(root, is_sealed=data.sealed).has_person)


@dataclass(frozen=True)
class Glance:
    """What can be said of a source while nothing is fetched and not everything is opened.

    Attributes:
        listing: what it has; None where that is not at hand.
        size: (height, width) of its images; None where none was looked at.
        left_out: what was not looked at, a line each.
    """

    listing: "Listing | None"
    size: "Size | None"
    left_out: list[str]


def glance_at_source(root: Path, data: DataParams, seconds: float) -> Glance:
    """Returns what `inspect_source` would find, as far as that takes no download, digests or long listing.

    Args:
        root: of the workspace.
        data: where the source is, and what it is.
        seconds: for the headers of the images.

    Raises:
        InputError: what cannot be used; or images lie where git would take them.
        AmunError: S3 does not answer or refuses.
    """
    from amun.store.images import glance_at_images
    from amun.store.sources.catalogue import AbsentError, list_source, raise_problems

    require_unknown_to_git(root, data.root)
    left_out: list[str] = []
    if data.root is not None and is_bucket(data.root):
        num_objects, is_all = glance_at_bucket(data.root)
        raise_problems([] if num_objects or not is_all else ["it has no images"])
        told = tell_count(num_objects, "object") if is_all else f"more than {tell_count(GLANCE_OBJECTS, 'object')}"
        left_out.append(f"{data.root}: {told}; `amun init` fetches them and looks at all")
        if not is_complete(data.root, root):
            return Glance(None, None, left_out)
    require_files(data.root, root)
    folder = locate_source(data.root)
    downloads = bool(data.options.get("download"))
    options = data.options | ({"download": False} if downloads else {})
    try:
        listing = list_source(data.source, None if folder is None else root / folder, options)
    except AbsentError:
        if not downloads:
            raise
        return Glance(None, None, [f"{data.root}: the data set is not there yet; `amun init` downloads it"])
    listing = _excuse(root, data, listing)
    size, num_opened = glance_at_images(listing, data.images, seconds)
    if num_opened < len(listing):
        left_out.append(f"{num_opened} of {tell_count(len(listing), 'image')} were looked at; `amun init` looks at all")
    return Glance(listing, size, left_out)


def require_unknown_to_git(root: Path, data_root: str | None) -> None:
    """Refuses images that git has or would take.

    Raises:
        InputError: what git has cannot be forgotten.
    """
    if data_root is None or is_bucket(data_root) or not (root / data_root).resolve().is_relative_to(root):
        return
    if [path for path in list_files(root, data_root) if not path.endswith(_NO_DATA)]:
        raise InputError(
            f"params.yaml: data.root: {data_root} lies where git takes it, and what git has cannot be forgotten; "
            f"run {tell_command('dvc', 'add', data_root)}, or keep it elsewhere"
        )


def describe_samples(root: Path) -> str:
    """Returns what the stage `prepare` took and refused."""
    figures = read_figures(PrepareFigures, root)
    counts = f"{figures.num_train} train, {figures.num_calibration} calibration, {figures.num_test} test"
    refused = f"; refused of forgotten people: {figures.num_excluded}" if figures.num_excluded else ""
    suppressed = _describe_suppressed(figures, read_adopted(root))
    return f"  samples: {counts}{refused}{suppressed}{_describe_twins(figures.twins)}"


def _describe_suppressed(figures: PrepareFigures, adopted: Adopted | None) -> str:
    """Returns what the stage refused because of the suppression list, and who may have come through it."""
    told = ""
    if figures.num_suppressed:
        told += f"; refused of erased people: {figures.num_suppressed}"
        if num_pictures := figures.num_suppressed_pictures:
            told += f", {num_pictures} of them by the picture alone"
        told += "\n  suppression list: it knows pictures to the pixel; one that was encoded anew comes in unnoticed"
        if adopted is not None:
            told += f"\n  warning: {adopted.source} may have learned these erased people, whom no wave can forget anew"
    if figures.num_near:
        people = tell_count(figures.num_near, "person is", "people are")
        told += f"\n  suppression list: {people} called nearly as somebody erased, and taken in"
    return told


def _describe_twins(twins: Twins | None) -> str:
    """Returns what the stage found of pictures that stand there more than once; empty where there is nothing to say."""
    if twins is None:
        return ""
    told = [
        (
            twins.num_samples,
            f"samples, of {tell_count(twins.num_people, 'person', 'people')}, with one that another person has too",
        ),
        (twins.num_labels, "with one that has several labels"),
        (twins.num_apart, "held out, and so taken for never seen, with one that is trained on under another name"),
    ]
    found = ", ".join(f"{count} {what}" for count, what in told if count)
    return f"\n  same pictures: {found}" if found else ""


def require_same_people(root: Path) -> None:
    """Refuses a new base whose invented subjects are not those of the base before, once any are forgotten.

    Raises:
        InputError: the forgotten could be among the others now, or HEAD does not say who was invented.
    """
    if not json.loads((root / EXCLUSIONS).read_text(encoding="utf-8")):
        return
    committed = read_committed(root, PREPARE_METRICS)
    if committed is None:
        raise InputError(
            f"{root}: {PREPARE_METRICS} is not in HEAD, so nobody knows whether the source's people are still those of "
            "whom some are forgotten; bring it back from the last wave's commit"
        )
    digest = parse_record(PrepareFigures, committed, f"{PREPARE_METRICS} in HEAD").people_digest
    if digest is not None and read_figures(PrepareFigures, root).people_digest != digest:
        raise InputError(
            "the source names no subjects, and its images, data.seed or data.subject_max_samples have changed since "
            "invented people were forgotten: nobody knows who they are now; restore them, or name the subjects"
        )


def describe_revision(root: Path) -> str:
    """Returns of which revision the base's source is, in one line; empty where nobody keeps revisions."""
    revision = read_figures(PrepareFigures, root).revision or {}
    return ", ".join(f"{name} {value}" for name, value in sorted(revision.items()))
