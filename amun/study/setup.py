"""What a study was made with: all that its page says besides the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# what differs from the paper in every study, a sentence each
DIFFERENCES = (
    "Gradient ascent clips its gradients: without that the loss, which has no upper bound, runs away.",
    "SalUn puts the weights outside its mask back after each step, where its source masks their gradients: weight "
    "decay would move them all the same.",
    "Target references, which `never_seen`, `amun_reference` and `amun_soft` ask and the paper's methods do not, are "
    "trained as in a wave: on halves of everything held, the test half included. What they say of a forget sample is "
    "not quite independent of it.",
)


@dataclass(frozen=True)
class Setup:
    """The set-up of a study.

    Attributes:
        preset: its short name.
        digest: of all that makes it this study: parameters, code, people forgotten, device.
        title: for people.
        machine: processor, cores, accelerator in one line.
        versions: of the packages that the figures depend on, and of the code.
        seeds: of base, retraining and unlearning.
        forget_sets: numbers of the draws.
        params: the parameters in force, section by section.
        search_budget: trials of the search for each method in each setting.
        search_ranges: where each parameter is drawn from, in words, by its name.
        differences: from the paper's set-up, a sentence each.
        seconds: of wall clock that the last command took.
        estimate: of them before it began; None where there was none.
        by_subject: people were forgotten with all their samples; otherwise each sample is its own subject.
    """

    preset: str
    digest: str
    title: str
    machine: str
    versions: Mapping[str, str]
    seeds: Sequence[int]
    forget_sets: Sequence[int]
    params: Mapping[str, Any]
    search_budget: int
    search_ranges: Mapping[str, str]
    differences: Sequence[str]
    seconds: float
    estimate: float | None
    by_subject: bool
