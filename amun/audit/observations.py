"""What memory left is measured on: the references' signals on the people to forget and on people never trained on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from amun.core.counts import tell_count
from amun.evidence.wave import MIN_PEOPLE, MIN_REPORTED

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MIN_REFERENCES = 6  # where one pair is left out, the others still show how much they scatter


def explain_too_few(num_people: tuple[int, int], num_samples: tuple[int, int], num_references: int) -> str:
    """Returns why these people, samples (to forget, held out) or references are too few for a figure; else nothing."""
    if not num_references:
        return "without audit references (references.num_audit) it cannot be shown that they are forgotten"
    if num_references < MIN_REFERENCES:
        return (
            f"{num_references} audit references (references.num_audit) are too few to show that they are forgotten: "
            f"{MIN_REFERENCES} at least"
        )
    if min(num_people) >= MIN_PEOPLE and min(num_samples) >= MIN_REPORTED:
        return ""
    return (
        f"{tell_count(num_people[0], 'person', 'people')} with {tell_count(num_samples[0], 'sample')}, beside "
        f"{num_people[1]} with {num_samples[1]} who were "
        f"never trained on, are too few to show that they are forgotten: {MIN_PEOPLE} people and {MIN_REPORTED} "
        "samples of either at least"
    )


@dataclass(frozen=True)
class Evidence:
    """What K references say of N samples, those to forget and held-out ones.

    Attributes:
        signals: (N, K) float64, higher = surer of the true label.
        inclusion: (N, K) bool, true where the reference was trained on the sample; columns 2j and 2j + 1 are
            complementary.
        subjects: (N,) whose each sample is.
        is_forget: (N,) bool; the other samples are held out.
    """

    signals: Floats
    inclusion: Mask
    subjects: npt.NDArray[np.str_]
    is_forget: Mask

    @property
    def num_references(self) -> int:
        """K."""
        return int(self.signals.shape[1])

    @cached_property
    def people(self) -> tuple[npt.NDArray[np.int64], Mask]:
        """Which person each sample is of, (N,), and of each person whether they are to be forgotten, (P,)."""
        names, codes = np.unique(self.subjects, return_inverse=True)
        is_forgotten = np.zeros(len(names), dtype=np.bool_)
        is_forgotten[codes[self.is_forget]] = True
        return codes, is_forgotten

    def count_people(self) -> tuple[int, int]:
        """Returns how many people are to be forgotten, and how many are held out."""
        is_forgotten = self.people[1]
        return int(is_forgotten.sum()), int((~is_forgotten).sum())

    def explain_missing(self) -> str:
        """Returns why there can be no figure; empty where nothing is too few."""
        return explain_too_few(self.count_people(), self.count_samples(), self.num_references)

    def count_samples(self) -> tuple[int, int]:
        """Returns how many samples are to be forgotten, and how many are held out."""
        return int(self.is_forget.sum()), int((~self.is_forget).sum())

    def leave_out(self, reference: int) -> "Evidence":
        """Returns the evidence on this reference as a model under audit: without it, its twin, and whom it has seen."""
        is_kept = np.arange(self.num_references) // 2 != reference // 2
        is_unseen = ~self.inclusion[:, reference]
        return Evidence(
            self.signals[is_unseen][:, is_kept],
            self.inclusion[is_unseen][:, is_kept],
            self.subjects[is_unseen],
            self.is_forget[is_unseen],
        )
