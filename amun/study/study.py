"""One study: its parameters, and the files that hold what its runs share.

Images, adversarial examples and logits lie in the sample store's format, weights as safetensors, all of it under the
workspace's `.amun/`, none of it under git, DVC or MLflow.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import nn

import amun
from amun.core.keys import load_secret
from amun.core.params import Params
from amun.core.paths import BENCHMARKS, CALIBRATION, CUSTOM, TEST, TRAIN
from amun.evidence.wave import list_excluded, read_forgotten
from amun.model.building import build_for
from amun.model.references import draw_sample_halves
from amun.model.training import select_device
from amun.model.weights import load_weights, set_weights
from amun.stages.references import AUDIT_SEED, TARGET_SEED
from amun.store.samples import Samples, concatenate, read_samples, write_samples
from amun.store.sources.revision import describe_files, read_revision, require_files
from amun.store.store import read_owners, read_shape
from amun.study.draws import Mask
from amun.study.lending import Lent, LentFiles, Splits
from amun.study.machine import list_versions
from amun.study.records import Record, Trial, digest_trial
from amun.vault.seal import open_seal

FIRST_SEEDS = {"audit": AUDIT_SEED, "target": TARGET_SEED}
GROUPS = (*FIRST_SEEDS,)  # of references
USED = ("model", "data", "training", "references", "adversarial", "audit")
# a study honours nobody's request, and finds the same whatever form its files have
OF_WAVES = {
    "audit": {"canaries", "earlier_people"},
    "data": {"canaries", "sealed", "source_delete", "stored_as", "twins"},
    "references": {"num_retrained"},
    "unlearning": {"attempts", "policy"},
}
# of this package: what only shows what has been found
SHOWN = (
    "figures",
    "templates",
    "presets",
    "columns.py",
    "expected.py",
    "page.py",
    "publish.py",
    "runs.py",
    "search_table.py",
    "setup.py",
    "statistics.py",
    "summary.py",
    "tables.py",
)
SEARCH_SET = 0  # the forget set that the search for parameters draws; those that are reported count from 1


@dataclass(frozen=True)
class Study:
    """What is studied, and where its files lie.

    Attributes:
        folder: of the files.
        params: of data, model, training, references, search for adversarial examples and attack.
        by_subject: people are forgotten with all their samples, and references see all of a person or nothing.
        lent: what is read instead of the files; None where they are at hand.
    """

    folder: Path
    params: Params
    by_subject: bool
    lent: Lent | None = None

    @property
    def digest(self) -> str:
        """What tells it from other studies of the same name."""
        return self.folder.name

    @property
    def store(self) -> Path:
        """The folder of the sample store."""
        return self.folder / "store"

    def locate_base(self, seed: int) -> Path:
        """Returns where the base of that seed lies."""
        return self.folder / "bases" / f"seed-{seed}.safetensors"

    def locate_retrained(self, share: float, forget_set: int, seed: int) -> Path:
        """Returns where the model retrained without that forget set lies."""
        return self.folder / "retrained" / f"{_name_set(share, forget_set, seed)}.safetensors"

    def locate_adversarial(self, share: float, forget_set: int, seed: int) -> Path:
        """Returns where the adversarial set D_A of that forget set and base lies."""
        return self.folder / "adversarial" / f"{_name_set(share, forget_set, seed)}.parquet"

    def locate_candidates(self, share: float, seed: int) -> Path:
        """Returns where the adversarial examples of as many test samples lie, on the base of that seed."""
        return self.folder / "adversarial" / f"test-{_name_share(share)}-seed-{seed}.parquet"

    def locate_logits(self, group: str, number: int) -> Path:
        """Returns where reference `number` of `audit` or `target` keeps its logits of every sample."""
        return self.folder / "references" / f"{group}-{number}.parquet"

    def locate_weights(self, group: str, number: int) -> Path:
        """Returns where a target reference's weights lie while the benchmark runs."""
        return self.folder / "references" / f"{group}-{number}.safetensors"

    def list_weights(self) -> list[Path]:
        """Returns the target references' weights that lie there, or in another study of the same name."""
        return sorted(self.folder.parent.glob("*/references/target-*.safetensors"))

    def locate_record(self, trial: Trial) -> Path:
        """Returns where the record of a trial lies."""
        return self.folder / "records" / f"{trial.kind}-{trial.setting}-{trial.method}-{digest_trial(trial)}.json"

    def count_references(self, group: str) -> int:
        """Returns how many references there are of `audit` or `target`."""
        references = self.params.references
        return references.num_audit if group == "audit" else references.num_target

    def lend(self) -> "Study":
        """Returns the study for another machine: with its samples, and no other file yet."""
        return replace(self, lent=Lent(self.read_splits(), read_shape(self.store / TRAIN), LentFiles({}, {}, {})))

    def take_along(self, files: LentFiles) -> "Study":
        """Returns a study that was lent, with what one job reads."""
        return self if self.lent is None else replace(self, lent=replace(self.lent, files=files))

    def read_samples(self, path: Path) -> Samples:
        """Returns what a job has come to of single samples."""
        return read_samples(path) if self.lent is None else self.lent.files.samples[path]

    def read_bytes(self, path: Path) -> bytes:
        """Returns what a job has come to of no single sample: weights, facts."""
        return path.read_bytes() if self.lent is None else self.lent.files.plain[path]

    def read_splits(self) -> Splits:
        """Returns training samples, calibration half and test half; each sample its own subject unless by subject."""
        if self.lent is not None:
            return self.lent.splits
        train, calibration, test = (
            read_split(self.store / path, self.by_subject) for path in (TRAIN, CALIBRATION, TEST)
        )
        return train, calibration, test

    def read_everything(self) -> Samples:
        """Returns the samples of all splits, as references draw their halves from them."""
        return concatenate(list(self.read_splits()))

    def name_owners(self, samples: Samples) -> Samples:
        """Returns samples as those of the people whose they are, under whose keys they are sealed."""
        stores = [read_owners(self.store / path) for path in (TRAIN, CALIBRATION, TEST)]
        owners = {
            sample_id: subject
            for store in stores
            for sample_id, subject in zip(store.sample_ids.tolist(), store.subject_ids.tolist(), strict=True)
        }
        subject_ids = np.array([owners[sample_id] for sample_id in samples.sample_ids.tolist()], dtype=np.str_)
        return Samples(samples.sample_ids, subject_ids, samples.labels, samples.payloads)

    def write(self, path: Path, samples: Samples) -> None:
        """Writes a file of what runs share about single samples."""
        seal = open_seal(self.params.data.sealed, "study", path.relative_to(self.folder.parent))
        write_samples(path, self.name_owners(samples), seal)

    def draw_halves(self, group: str) -> Mask:
        """Returns (N, K) bool: which of all samples each reference is trained on."""
        first_seed = FIRST_SEEDS[group] + self.params.references.seed * 1000
        return draw_sample_halves(self.read_everything(), self.count_references(group), first_seed)

    def build(self, seed: int, device: torch.device) -> nn.Module:
        """Returns a freshly initialised model."""
        shape = read_shape(self.store / TRAIN) if self.lent is None else self.lent.shape
        return build_for(self.params, shape, device, seed)

    def load(self, path: Path, device: torch.device) -> nn.Module:
        """Returns the model of these weights, in evaluation mode."""
        model = self.build(0, device)
        if self.lent is None:
            load_weights(path, model)
        else:
            set_weights(path, load(self.lent.files.plain[path]), model)
        return model.eval()

    def read_records(self, trials: Iterable[Trial]) -> list[Record]:
        """Returns the records of trials that have been run."""
        return [Record.model_validate_json(self.locate_record(trial).read_text(encoding="utf-8")) for trial in trials]


@lru_cache(maxsize=3)
def read_split(path: Path, by_subject: bool) -> Samples:
    """Returns the samples of a split; read once in each process.

    Each sample by itself is named by its place: its keyed id differs from workspace to workspace, and forget sets and
    halves are drawn in the order of these names.
    """
    samples = read_samples(path)
    places = np.array([f"{path.stem}-{place:08}" for place in range(len(samples))])
    owners = samples.subject_ids if by_subject else places
    return Samples(samples.sample_ids, owners, samples.labels, samples.payloads)


def open_study(name: str, params: Params, by_subject: bool, num_waves: int) -> Study:
    """Returns the study of these parameters; with other ones, data, code, versions or people forgotten it is another.

    Args:
        name: of its folder.
        params: of data, model, training, references, search for adversarial examples and attack.
        by_subject: as for `Study`.
        num_waves: of the continuous protocol.

    Raises:
        InputError: the source's files are kept elsewhere and are not at hand.
    """
    content = params.model_dump(include={*USED}, exclude=OF_WAVES) | {
        "unlearning": params.unlearning.model_dump(exclude=OF_WAVES["unlearning"] | {"schedule", "seed"}),
        "runtime": params.runtime.model_dump(exclude={"device", "engine", "memory_gib"}),
        "device": select_device(params.runtime).type,
        "by_subject": by_subject,
        "num_waves": num_waves,
        "versions": list_versions(),
        "code": digest_code(),
        "source": describe_source(params),
        "forgotten": sorted(list_forgotten()),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return Study(BENCHMARKS / name / digest, params, by_subject)


def describe_source(params: Params) -> dict[str, Any]:
    """Returns what changes with the source's content: its revision, or its files where there is no revision.

    Raises:
        InputError: its files are kept elsewhere and are not at hand.
    """
    root, train_list = params.data.root, params.data.train_list
    require_files(root)
    revision = read_revision(root, load_secret(Path.cwd()))
    return {
        "revision": revision,
        "files": describe_files(root) if root is not None and revision is None else [],
        "train_list": None if train_list is None else describe_files(train_list),
    }


def list_forgotten() -> set[str]:
    """Returns the keyed ids of whom and what the current workspace's waves have forgotten."""
    return set(list_excluded(read_forgotten()))


def digest_code() -> str:
    """Returns a digest of the workspace's own code and of the library's, without the modules that only show results."""
    root = Path(amun.__file__).parent
    shown = {root / "study" / name for name in SHOWN}
    paths = [path for path in root.rglob("*.py") if not shown & {path, *path.parents}]
    digest = hashlib.sha256()
    for path in [*sorted(paths), *sorted(CUSTOM.rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _name_set(share: float, forget_set: int, seed: int) -> str:
    return f"{_name_share(share)}-set-{forget_set}-seed-{seed}"


def _name_share(share: float) -> str:
    percent = f"{100 * share:g}".replace(".", "_")  # a file's name has one point
    return f"share-{percent}"
