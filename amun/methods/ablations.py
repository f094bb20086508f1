"""What else one could fine-tune on: the ablations of AMUN's Figures 1 and 4, and its weak attack (arXiv 2503.00917)."""

import torch
from torch import Tensor

from amun.core.counts import tell_count
from amun.core.errors import AttemptError
from amun.methods.labels import FGSM_STEP, draw_wrong_labels, step_across
from amun.methods.method import Method
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import LabelledImages, count_classes, fine_tune, get_forget, list_remain, require_parameter
from amun.model.training import compute_logits

NOISE_STEPS = 20  # towards the length of the noise; of digits, half black, it is met to a millionth after ten


def fine_tune_adversarial(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on the originals with the adversarial labels."""
    return _tune(problem, (problem.forget_images, problem.adversarial_labels))


def fine_tune_random_label_images(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on the originals with other wrong labels."""
    return _tune(problem, (problem.forget_images, _draw_other_labels(problem)))


def fine_tune_adversarial_random_label(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on the adversarial images with other wrong labels."""
    return _tune(problem, (problem.adversarial_images, _draw_other_labels(problem)))


def fine_tune_random_noise_labels(problem: UnlearningProblem) -> Unlearned:
    """Fine-tunes on the originals moved as far as the adversarial images, but anywhere, with the adversarial labels."""
    return _tune(problem, (move_anywhere(problem), problem.adversarial_labels))


def move_anywhere(problem: UnlearningProblem) -> Tensor:
    """Returns (F, C, H, W), the forget images moved by noise in [0, 1], each as far as its adversarial image is.

    The pixels that noise would drive out of the range stay at its end: the others go farther for it.
    """
    images = problem.forget_images
    generator = torch.Generator().manual_seed(problem.params.unlearning.seed)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    wanted = (problem.adversarial_images - images).flatten(1).norm(dim=1)
    for _ in range(NOISE_STEPS):
        reached = ((images + noise).clamp(0, 1) - images).flatten(1).norm(dim=1)
        noise *= (wanted / reached).nan_to_num()[:, None, None, None]  # 0 / 0: the base errs, there is no way to go
    return (images + noise).clamp(0, 1)


def unlearn_adversarial_fgsm(problem: UnlearningProblem) -> Unlearned:
    """AMUN's sets, D_A by FGSM: one step from the original, from `fgsm_step` doubled until the label changes.

    Samples whose label no step up to the whole range of pixels changes have no part in D_A.
    """
    return fine_tune(problem, [*list_remain(problem), get_forget(problem), step_until_wrong(problem)])


def _tune(problem: UnlearningProblem, ablated: LabelledImages) -> Unlearned:
    return fine_tune(problem, [*list_remain(problem), ablated])


def _draw_other_labels(problem: UnlearningProblem) -> Tensor:
    seed = problem.params.unlearning.seed
    return draw_wrong_labels(problem.forget_labels, count_classes(problem), seed, also_not=problem.adversarial_labels)


def step_until_wrong(problem: UnlearningProblem) -> LabelledImages:
    """Returns the forget images after the first step that changes the base's label, and the labels it then gives.

    Those that no step changes are left out.

    Raises:
        AttemptError: that is all of them.
    """
    images, labels = problem.forget_images.clone(), problem.forget_labels
    predicted = compute_logits(problem.base, images).argmax(1).to(labels.device)
    step = require_parameter(problem, "fgsm_step")
    while (is_right := predicted == labels).any() and step <= 1:
        images[is_right] = step_across(problem.base, problem.forget_images[is_right], labels[is_right], step)
        predicted = compute_logits(problem.base, images).argmax(1).to(labels.device)
        step *= 2
    if is_right.all():
        raise AttemptError(
            f"adversarial_fgsm finds no adversarial example of any of {tell_count(len(labels), 'sample')}"
        )
    return images[~is_right], predicted[~is_right]


ADVERSARIAL = Method("adversarial", fine_tune_adversarial, needs_adversarial=True, is_ablation=True)
RANDOM_LABEL_IMAGES = Method(
    "random_label_images", fine_tune_random_label_images, needs_adversarial=True, is_ablation=True
)
ADVERSARIAL_RANDOM_LABEL = Method(
    "adversarial_random_label", fine_tune_adversarial_random_label, needs_adversarial=True, is_ablation=True
)
RANDOM_NOISE_LABELS = Method(
    "random_noise_labels", fine_tune_random_noise_labels, needs_adversarial=True, is_ablation=True
)
ADVERSARIAL_FGSM = Method("adversarial_fgsm", unlearn_adversarial_fgsm, FGSM_STEP, is_ablation=True)
