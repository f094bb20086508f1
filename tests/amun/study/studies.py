"""Records of a made-up study: what each method does is known, so that every table and figure can be checked."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from amun.core.params import AttemptParams
from amun.methods.catalogue import METHODS
from amun.study.records import NUM_BINS, RETRAIN, Attack, Costs, Figures, Kind, Record, Setting, Trial
from amun.study.setup import Setup

OWN = {
    "clip_norm": 1.0,
    "fgsm_step": 0.05,
    "l1_penalty": 0.0005,
    "mask_fraction": 0.5,
    "ascent_share": 0.3,
    "label_mix": 0.3,
    "forget_weight": 2,
}
FT_AUC = {"retrain": 0.5, "amun": 0.55, "amun_a": 0.47, "never_seen": 0.505, "fine_tune": 0.64, None: 0.66}
TRACE = {"retrain": 0.5, "amun": 0.67, "amun_a": 0.95, "never_seen": 0.5, None: 0.5}
TA_LOSS = {
    "adversarial": 0.1,
    "random_label_images": 0.35,
    "adversarial_random_label": 0.3,
    "random_noise_labels": 0.04,
}
FAILS = "gradient_ascent"
REASON = "the loss is no number | lower learning_rate"
SETUP = Setup(
    preset="digits",
    digest="0123456789ab",
    title="Handwritten digits, 8 x 8 pixels",
    machine="A processor, 2 cores, on 1 thread",
    versions={"amun": "0.1.0", "torch": "2.9.0"},
    seeds=[0, 1, 2],
    forget_sets=[1, 2, 3],
    params={"model": {"architecture": "small_cnn"}, "training": {"epochs": 30, "learning_rate": 0.1}},
    search_budget=8,
    search_ranges={"learning_rate": "0.001 to 0.3, uniform in its logarithm", "schedule": "constant or cosine"},
    differences=["Digits instead of CIFAR-10: it fits a lunch break.", "A small network instead of a ResNet-18."],
    seconds=812.4,
    estimate=790.0,
    by_subject=False,
)


def make_attempt(method: str | None, learning_rate: float = 0.02) -> AttemptParams | None:
    if method is None:
        return None
    own = METHODS[method].parameter
    given: dict[str, Any] = {} if own is None else {own.name: OWN[own.name]}
    if not METHODS[method].is_exact:
        given["learning_rate"] = learning_rate
    return AttemptParams(method=method, **given)


def make_trial(method: str | None, **given: Any) -> Trial:
    fields = {"kind": "table", "setting": "use", "schedule": "cosine", "share": 0.1, "forget_set": 1, "seed": 0}
    return Trial(**{**fields, "attempt": make_attempt(method), **given})


def make_figures(ft_auc: float = 0.5, **given: Any) -> Figures:
    fields = {
        "unlearn_accuracy": 0.95,
        "remain_accuracy": 0.999,
        "held_out_accuracy": 0.96,
        "ft": make_attack(ft_auc),
        "fr": make_attack(0.66 - (ft_auc - 0.5)),
        "rt": make_attack(0.66),
        "svc_confidence": 0.3 - (ft_auc - 0.5),
        "trace": 0.5,
    }
    return Figures(**fields | given)


def make_attack(auc: float) -> Attack:
    return Attack(auc=auc, tpr_at_0_1=max(0.0, auc - 0.49) / 10, tpr_at_1=max(0.0, auc - 0.48) / 3)


def make_study(num_forget_sets: int = 3, num_seeds: int = 1, shares: tuple[float, ...] = (0.1,)) -> list[Record]:
    """Returns the records of a whole study."""
    settings: tuple[Setting, ...] = ("use", "none")
    records = [
        _make_record("table", method, setting, share, forget_set, seed)
        for share in shares
        for setting in settings
        for method in _list_able(setting)
        for forget_set in range(1, num_forget_sets + 1)
        for seed in range(num_seeds)
    ]
    return [*records, *_make_searches(), *_make_deltas(num_seeds), *_make_waves()]


def _list_able(setting: Setting) -> list[str | None]:
    able: list[str | None] = [name for name, method in METHODS.items() if setting == "use" or not method.needs_remain]
    return [None, *able] if setting == "use" else able


def _make_record(
    kind: Kind, method: str | None, setting: Setting, share: float, forget_set: int, seed: int, **given: Any
) -> Record:
    trial = make_trial(method, kind=kind, setting=setting, share=share, forget_set=forget_set, seed=seed)
    if method == FAILS and seed == 0 and forget_set == 1:
        return Record(trial=trial, failure=REASON)
    draw = np.random.default_rng([forget_set, seed, len(method or ""), len(setting)])
    auc = FT_AUC.get(method, 0.58) + draw.normal(scale=0.01)
    ta = 0.96 - (0.02 if setting == "none" else 0) - TA_LOSS.get(method or "", 0)
    epochs = ta + (0.95 - ta) * np.exp(-np.arange(10) / 2) + draw.normal(scale=0.003, size=10)
    figures = make_figures(auc, held_out_accuracy=ta + draw.normal(scale=0.004), trace=TRACE.get(method, 0.6))
    fields = {
        "calibration": figures,
        "test": figures,
        "costs": Costs(seconds=4 + draw.random(), num_gradients=9000, peak_mib=400 + 20 * draw.random()),
        "confidence": {name: _make_bins(draw, loc) for name, loc in _locate(method).items()},
        "test_accuracies": [float(accuracy) for accuracy in epochs],
        "parameter_distance": 4 + draw.random() if method else 5.0,
    }
    return Record(trial=trial, **{**fields, **given})


def _locate(method: str | None) -> dict[str, float]:
    return {"forget": {None: 9.0, RETRAIN: 3.0}.get(method, 3.3), "remain": 9.0, "test": 3.0}


def _make_bins(draw: np.random.Generator, shape: float) -> list[float]:
    counts, _ = np.histogram(draw.beta(shape, 0.5, size=300), bins=NUM_BINS, range=(0, 1))
    return [float(count) for count in counts / counts.sum()]


def _make_searches() -> Iterator[Record]:
    for number in range(8):
        trial = make_trial("amun", kind="search", attempt=make_attempt("amun", 0.01 * (number + 1)), forget_set=0)
        yield Record(trial=trial, calibration=make_figures(0.55)) if number else Record(trial=trial, failure="lost")


def _make_deltas(num_seeds: int) -> Iterator[Record]:
    for seed in range(num_seeds):
        for step, factor in enumerate((1.0, 2.0, 4.0, 8.0)):
            for setting in ("use", "none"):
                yield Record(
                    trial=make_trial("amun", kind="delta", setting=setting, seed=seed, delta_factor=factor),
                    test=make_figures(0.53 + 0.02 * step + 0.01 * seed + (0.02 if setting == "none" else 0)),
                    costs=Costs(seconds=4, num_gradients=9000, peak_mib=400),
                    parameter_distance=4 + 0.6 * step + 0.1 * seed + (0.5 if setting == "none" else 0),
                    mean_delta_norm=0.7 * factor + 0.02 * seed,
                    clamped_share=0.02 * step,
                    flipped_share=0.06 * step,
                )


def _make_waves() -> Iterator[Record]:
    for setting in ("use", "none"):
        for method in _list_able(setting):
            if method is not None and (METHODS[method].is_ablation or METHODS[method].needs_target_weights):
                continue
            draw = np.random.default_rng([7, len(method or ""), len(setting)])
            aucs = FT_AUC.get(method, 0.58) + draw.normal(scale=0.015, size=(2, 5)) + (0.01 if setting == "none" else 0)
            trial = make_trial(method, kind="waves", setting=setting, share=0.02)
            waves, waves_all = ([make_figures(float(auc)) for auc in row] for row in aucs)
            yield Record(trial=trial, waves=waves, waves_all=waves_all)
