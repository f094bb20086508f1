"""One loop for the base model, the references, exact retraining and fine-tuning."""

import ctypes
import gc
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim.sgd import sgd

from amun.core.errors import AmunError, DivergedError, InputError
from amun.core.params import OptimisationParams, RuntimeParams
from amun.core.processors import count_processors
from amun.store.image_sets import AnyImages, as_set

StepHook = Callable[[nn.Module], None]
# images at once in a pass over a whole set, at most, and what they take as floats
PASS_SIZE, PASS_BYTES, FLOAT_BYTES = 512, 2**26, 4
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
MAX_INT = 2**31 - 1


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch gave.

    Attributes:
        epoch: counts from 1.
        loss: mean cross-entropy over the epoch, as its batches came.
        accuracy: share of training samples labelled right as its batches came, 0 to 1.
    """

    epoch: int
    loss: float
    accuracy: float


def select_device(runtime: RuntimeParams) -> torch.device:
    """Returns the device that `runtime.device` names; `auto` prefers CUDA.

    Raises:
        InputError: a CUDA device was asked for that is not there.
    """
    num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if runtime.device == "auto":
        return torch.device("cuda" if num_devices else "cpu")
    device = torch.device(runtime.device)
    if device.type == "cuda" and (device.index or 0) >= num_devices:
        raise InputError(f"runtime.device: {device} is not there, {num_devices} CUDA devices found; write auto or cpu")
    return device


def count_workers(runtime: RuntimeParams) -> int:
    """Returns how many processes fill the machine: one for an accelerator."""
    if select_device(runtime).type != "cpu":
        return 1
    return max(1, count_processors() // runtime.num_threads)


def configure_torch(runtime: RuntimeParams) -> torch.device:
    """Makes the arithmetic of this process repeatable, and returns its device.

    Raises:
        InputError: as for `select_device`.
    """
    device = select_device(runtime)
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS is deterministic only so; read at its first use
    torch.set_num_threads(runtime.num_threads)
    keep_freed_memory()
    # the same as use_deterministic_algorithms(True), which first imports the compiler: a second for each stage
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = False  # it picks kernels by a race
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False  # the default is True
    return device


def keep_freed_memory() -> None:
    """Lets this process keep what it frees, where the C library is glibc.

    Activations are larger than what malloc keeps: it would give them back to the system and fetch them again, zeroed
    page by page, at every layer. A pass of the small residual network takes half of its time so.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        mallopt(parameter, MAX_INT)


def release_freed_memory() -> None:
    """Gives the system what this process has freed and kept, where the C library is glibc."""
    gc.collect()
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def fit(
    model: nn.Module,
    images: AnyImages,
    labels: Tensor,
    *,
    optimisation: OptimisationParams,
    learning_rate: float,
    precision: str,
    on_epoch: Callable[[EpochMetrics], None],
    before_step: StepHook | None = None,
    after_step: StepHook | None = None,
) -> None:
    """Trains the model in place by SGD on the cross-entropy; the same seed gives the same weights.

    Args:
        model: on the device of the data.
        images: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64, or (N, C) float32 probabilities.
        optimisation: epochs, batch size, schedule, momentum, weight decay, augmentation and seed.
        learning_rate: of the first step.
        precision: `float32`, or `bfloat16` for automatic mixed precision.
        on_epoch: called after each epoch.
        before_step: called once the gradients are there; may change them.
        after_step: called once the weights have moved; may move them back.

    Raises:
        AmunError: there is no sample; as `DivergedError`, the loss is no longer finite.
    """
    if len(images) == 0:
        raise AmunError("training: no sample is left to train on")
    num_batches = math.ceil(len(images) / optimisation.batch_size)
    optimizer = make_optimizer(model, optimisation, learning_rate, num_batches * optimisation.epochs)
    hooks = (before_step, after_step)
    order = Generator().manual_seed(optimisation.seed)  # on the CPU: the same order on every device
    model.train()
    with seeded(images.device, optimisation.seed):
        for epoch in range(1, optimisation.epochs + 1):
            totals = torch.zeros(2, device=images.device)
            batches = list(draw_batches(len(images), num_batches, order))
            for batch, plain_images in zip(batches, as_set(images).stream(batches), strict=True):
                batch_images = augment(plain_images, optimisation.augmentation, order)
                batch_labels = labels[batch.to(labels.device)]
                totals += take_step(model, optimizer, batch_images, batch_labels, precision, cross_entropy, *hooks)
            on_epoch(summarise_epoch(epoch, totals, len(images)))


def summarise_epoch(epoch: int, totals: Tensor, num_samples: int) -> EpochMetrics:
    """Returns the means of an epoch from its totals (2,): loss, and how many samples were labelled right.

    Raises:
        DivergedError: the loss is no longer finite.
    """
    loss, accuracy = (totals / num_samples).tolist()
    if not math.isfinite(loss):
        raise DivergedError(f"training: the loss is {loss} after epoch {epoch}; lower the learning rate")
    return EpochMetrics(epoch, loss, accuracy)


def decay_learning_rate(schedule: str, progress: float) -> float:
    """Returns the factor of the learning rate at a `progress` of 0 to 1: constant, or a cosine from 1 to 0."""
    return 1.0 if schedule == "constant" else 0.5 * (1 + math.cos(math.pi * progress))


def draw_batches(num_samples: int, num_batches: int, generator: Generator) -> Iterator[Tensor]:
    """Yields the positions of each batch in a random order; every sample comes once, sizes differ by one at most.

    Equal sizes rather than a short last batch: a handful of samples would take as large a step as the others.
    """
    yield from torch.randperm(num_samples, generator=generator).tensor_split(num_batches)


def augment(images: Tensor, augmentation: str, generator: Generator) -> Tensor:
    """Returns the images as they are (`none`), or flipped at random and shifted by up to an eighth (`flip_crop`).

    Args:
        images: (N, C, H, W); what a shift uncovers is 0.
        augmentation: `none` or `flip_crop`.
        generator: on the CPU; draws one flip and one shift for each image.
    """
    if augmentation == "none":
        return images
    num_images, num_channels, height, width = images.shape
    margin = max(1, height // 8)
    tops, lefts = torch.randint(2 * margin + 1, (2, num_images, 1), generator=generator)
    is_flipped = torch.rand(num_images, 1, generator=generator) < 0.5
    rows = (tops + torch.arange(height)).to(images.device)
    columns = lefts + torch.where(is_flipped, torch.arange(width).flip(0), torch.arange(width))
    return pad(images, [margin] * 4)[
        torch.arange(num_images, device=images.device)[:, None, None, None],
        torch.arange(num_channels, device=images.device)[None, :, None, None],
        rows[:, None, :, None],
        columns.to(images.device)[:, None, None, :],
    ]


@torch.no_grad()
def compute_logits(model: nn.Module, images: AnyImages, *, batch_size: int | None = None) -> Tensor:
    """Returns the logits (N, C) float32 on the CPU, in eval mode; the model's own mode is restored.

    Without a batch size `choose_pass_size` chooses it.
    """
    with evaluating(model):
        if not len(images):  # not every model takes a batch of none
            blank = torch.zeros(1, *images.shape[1:], device=images.device)
            return torch.cat([model(blank).float().cpu()])[:0]
        return torch.cat(
            [model(batch).float().cpu() for batch in as_set(images).stream_all(batch_size or choose_pass_size(images))]
        )


def choose_pass_size(images: AnyImages) -> int:
    """Returns how many images (N, C, H, W) are taken at once in a pass over all: of large ones fewer, for memory."""
    return max(1, min(PASS_SIZE, PASS_BYTES // max(1, FLOAT_BYTES * math.prod(images.shape[1:]))))


def compute_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Returns the share, 0 to 1, of the samples whose largest logit (N, C) is at their label (N,)."""
    return (logits.argmax(1) == labels.to(logits.device)).double().mean().item()


def explain_diverged(model: nn.Module, images: Tensor) -> str:
    """Returns what of a model is no number: its weights, or its answers on images (N, C, H, W); empty if nothing is.

    Buffers are seen by the answers: some are infinite by design, such as masks, and one that is not used harms nobody.
    """
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        return "weights that are not finite"
    # finite weights that are too large end here, and so do a batch normalisation's means that are no numbers
    return "answers that are no numbers" if compute_logits(model, images).softmax(1).isnan().any() else ""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Holds the model in eval mode, then restores the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


class Sgd:
    """SGD with momentum and weight decay, the same to the bit as `torch.optim.SGD` under a `LambdaLR`.

    The steps are torch's own. Its class around them imports the compiler, which costs a stage as much as torch itself.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        learning_rate: Callable[[int], float],
        momentum: float,
        weight_decay: float,
    ) -> None:
        """Takes the rate as a function of the number of steps taken before."""
        self._parameters = list(parameters)
        self._velocities: list[Tensor | None] = [None] * len(self._parameters)
        self._learning_rate = learning_rate
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._num_steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        moved = [place for place, parameter in enumerate(self._parameters) if parameter.grad is not None]
        velocities = [self._velocities[place] for place in moved]
        sgd(
            [self._parameters[place] for place in moved],
            [gradient for parameter in self._parameters if (gradient := parameter.grad) is not None],
            velocities,
            lr=self._learning_rate(self._num_steps),
            momentum=self._momentum,
            weight_decay=self._weight_decay,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        for place, velocity in zip(moved, velocities, strict=True):
            self._velocities[place] = velocity
        self._num_steps += 1


def make_optimizer(model: nn.Module, optimisation: OptimisationParams, learning_rate: float, num_steps: int) -> Sgd:
    """Returns SGD whose learning rate follows its schedule over `num_steps` steps."""
    return Sgd(
        model.parameters(),
        learning_rate=lambda step: learning_rate * decay_learning_rate(optimisation.schedule, step / num_steps),
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
    )


def take_step(
    model: nn.Module,
    optimizer: Sgd,
    images: Tensor,
    labels: Tensor,
    precision: str,
    compute_loss: Callable[[Tensor, Tensor], Tensor],
    before_step: StepHook | None = None,
    after_step: StepHook | None = None,
) -> Tensor:
    """Takes one gradient step; returns (2,): the loss summed over the batch and how many were labelled right.

    Args:
        model: in training mode.
        optimizer: of its parameters.
        images: (N, C, H, W) float32.
        labels: (N,) int64, or (N, C) float32 probabilities.
        precision: as for `fit`.
        compute_loss: returns the mean loss of logits (N, C) for the labels.
        before_step: as for `fit`.
        after_step: as for `fit`.
    """
    copies = 2 if len(images) == 1 else 1  # BatchNorm refuses one value per channel; a pair has the same mean loss
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        logits = model(images.repeat(copies, 1, 1, 1))
        loss = compute_loss(logits, torch.cat([labels] * copies))
    model.zero_grad()
    torch.autograd.backward(loss)
    if before_step is not None:
        before_step(model)
    optimizer.step()
    if after_step is not None:
        after_step(model)
    classes = labels if labels.ndim == 1 else labels.argmax(1)
    num_correct = (logits[: len(images)].argmax(1) == classes).sum()
    return torch.stack([loss.detach().float() * len(images), num_correct.float()])


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seeds what layers draw themselves, such as dropout; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or torch.cuda.current_device()].manual_seed(seed)
        yield
