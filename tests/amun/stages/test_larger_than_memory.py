"""Every stage computes the same to the bit, whether its images are held in memory or opened batch by batch."""

from collections.abc import Iterator
from contextlib import chdir
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import (
    ADVERSARIAL,
    ATTEMPT,
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    AUDIT_METRICS,
    BASE_MODEL,
    COMPARISON,
    CONFIDENCE,
    HELD_OUT_ADVERSARIAL,
    POWER_METRICS,
    REPORT_METRICS,
    TARGET_LOGITS,
    TRAIN,
    TRAIN_METRICS,
    UNLEARNED,
)
from amun.engine.local import LocalEngine
from amun.evidence.wave import Attempt, write_json
from amun.model.building import build_for
from amun.model.references import draw_sample_halves, train_reference_logits
from amun.stages import engines
from amun.stages.adversarial import build_adversarial_set
from amun.stages.audit import audit
from amun.stages.compare import compare
from amun.stages.engines import PROCESS_BYTES
from amun.stages.power import measure_power
from amun.stages.references import open_engine, train_references
from amun.stages.report import report
from amun.stages.retrained import retrain_beside_base
from amun.stages.train import train
from amun.stages.unlearn import unlearn
from amun.store.image_sets import as_set
from amun.store.opening import SampleOpener
from amun.store.store import read_shape
from bench.seed import freeze_wave, prepare_store
from tests.amun.methods.problems import make_attempt
from tests.amun.shipped import PARAMS, run_apart
from tests.photos import write_digits

CPU = torch.device("cpu")
METHODS = ("amun", "never_seen", "scrub", "retrain")
MADE = (
    BASE_MODEL,
    TRAIN_METRICS,
    AUDIT_LOGITS,
    AUDIT_INCLUSION,
    TARGET_LOGITS,
    POWER_METRICS,
    ADVERSARIAL,
    HELD_OUT_ADVERSARIAL,
)
JUDGED = (AUDIT_METRICS, REPORT_METRICS, CONFIDENCE, COMPARISON)


@pytest.fixture(scope="module", params=["digits", "folder"])
def params(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """Of a sealed store, the current folder's: of floats as scikit-learn has the digits, or of bytes (PNG files)."""
    root = tmp_path_factory.mktemp("workspace")
    if request.param == "folder":
        write_digits(root / "photos")
    changes = {
        "model": {"options": {"channels": [4, 4]}},
        "data": {"num_samples": 400, "source": request.param, "root": "photos" if request.param == "folder" else None},
        "training": {"epochs": 3, "augmentation": "flip_crop"},
        "references": {"num_audit": 2, "num_target": 2, "num_retrained": 4},
        "unlearning": {"epochs": 2, "attempts": [make_attempt(method) for method in METHODS]},
    }
    sections = {name: getattr(PARAMS, name).model_copy(update=changed) for name, changed in changes.items()}
    with chdir(root):
        made = PARAMS.model_copy(update=sections)
        prepare_store(made, CPU)
        yield made


def limit_memory(params: Params, memory_gib: float) -> Params:
    return params.model_copy(update={"runtime": params.runtime.model_copy(update={"memory_gib": memory_gib})})


def run_stages(params: Params) -> dict[str, bytes]:
    """Returns what each stage has written, or told."""
    train(params, CPU)
    train_references(params, CPU)
    freeze_wave(params, 40)
    measure_power(params, CPU)
    build_adversarial_set(params, CPU)
    made = {str(path): path.read_bytes() for path in MADE}
    for number, method in enumerate(METHODS, start=1):
        write_json(ATTEMPT, Attempt(attempt=number))
        unlearn(params, CPU)
        made[method] = UNLEARNED.read_bytes()
    audit(params, CPU)
    report(params, CPU)
    compare(params, CPU)
    told = retrain_beside_base(params, CPU).model_dump_json()
    return made | {str(path): path.read_bytes() for path in JUDGED} | {"retrained": told.encode()}


def test_stages_give_the_same_bytes_whatever_fits_into_memory(params: Params) -> None:
    held, none = (limit_memory(params, gib) for gib in (1.0, 0.0))
    assert [SampleOpener(one.runtime, CPU).open(TRAIN).images.is_sealed for one in (held, none)] == [False, True]
    expected, found = run_stages(held), run_stages(none)
    assert [name for name in expected if found[name] != expected[name]] == []


def train_two(folder: Path, memory_gib: float, num_processes: int) -> str:
    """Returns a digest of the logits of two references of the training images that lie in a folder."""
    training = PARAMS.training.model_copy(update={"epochs": 2})
    with chdir(folder):
        samples = SampleOpener(limit_memory(PARAMS, memory_gib).runtime, CPU).open(TRAIN)
        logits = train_reference_logits(
            samples.images,
            samples.labels,
            draw_sample_halves(samples, 2, seed=0),
            build=partial(build_for, PARAMS, read_shape(TRAIN), CPU),
            params=training,
            precision="float32",
            seed=7,
            on_reference=lambda _: None,
            engine=LocalEngine(num_processes),
        )
    return sha256(logits.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("params", ["folder"], indirect=True)
@pytest.mark.usefixtures("params")
def test_copies_of_a_process_open_what_does_not_fit_at_the_same_time() -> None:
    # forked after a thread of the process has opened images; the copies start threads of their own
    program = (
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from tests.amun.stages.test_larger_than_memory import train_two\n"
        f"print(train_two(Path({str(Path.cwd())!r}), 0.0, 2))"
    )
    run = run_apart(program)
    assert run.stdout.split()[-1:] == [train_two(Path.cwd(), 1.0, 1)], run.stderr


def test_a_cluster_takes_images_from_memory_alone(params: Params) -> None:
    images = SampleOpener(limit_memory(params, 0.0).runtime, CPU).open(TRAIN).images
    runtime = params.runtime.model_copy(update={"engine": "ray"})
    with pytest.raises(
        InputError, match=r"^runtime\.engine: .* fit into runtime\.memory_gib; raise it, or write local$"
    ):
        open_engine(params.model_copy(update={"runtime": runtime}), images, may_fork=True)


@pytest.mark.parametrize("function", [None, "custom.training:train"])
def test_only_a_users_trainer_takes_a_copy_of_the_images_in_each_process(
    function: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "count_workers", lambda _: 3)
    monkeypatch.setattr(engines, "count_free_memory", lambda: 3 * PROCESS_BYTES)
    chosen = PARAMS.model_copy(update={"training": PARAMS.training.model_copy(update={"function": function})})
    engine = open_engine(chosen, as_set(torch.empty(1)[0].expand(2**20, 1, 8, 8)), may_fork=True)
    assert engine == LocalEngine(3 if function is None else 2)
