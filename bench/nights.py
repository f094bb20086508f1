"""On paper: how long a night is, what it costs and keeps, and from which size on unlearning is cheaper than retraining.

    python -m bench.nights                      unit costs measured here, in processor seconds; a minute
    python -m bench.nights --images 1000000 --requests 100 --models 3 --devices 2
    python -m bench.nights --shape 3 32 32 --classes 100     of the network that params.yaml names, on such images

Sums over measured unit costs, nothing else: a night searches, fine-tunes and looks at samples, as `params.yaml` says.
Requests are of `--samples` samples each. What is not in it: waiting for servers, people who wait in the queue, and
exact retraining after a night too small to show forgetting (`gate.insufficient: retrain`), which costs both.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from amun.core.params import Params
from amun.core.paths import PARAMS
from amun.model.architectures import build_model
from amun.model.training import compute_logits, configure_torch, make_optimizer, take_step
from amun.params import load_params
from amun.search.catalogue import search_together
from amun.study.machine import describe_machine
from bench.wave import ROOT

SIZES, REQUESTS = (10**4, 10**5, 10**6, 10**7, 10**8, 10**9), (10, 10**3, 10**6)
FASTEST_SECONDS = 2.0 / 50_000  # an image of CIFAR-10, to 94 %, on one A100 (K. Jordan, airbench; public record)
NUM_LOOKS = 3  # passes over the samples of a night: audit, report, worst cases
ROW_BYTES = 150  # of a sealed row beside its payload: ids, tag, label


@dataclass(frozen=True)
class UnitCosts:
    """What one sample costs on one processor or device.

    Attributes:
        step: seconds of one sample in one step of training.
        look: seconds of one sample in a pass without gradients.
        search: seconds to find one sample's adversarial example.
        image_bytes: of a sample's uint8 image.
        weight_bytes: of a version's weights.
        fixed: seconds of a night in which nothing is computed: servers, git, DVC.
    """

    step: float
    look: float
    search: float
    image_bytes: int
    weight_bytes: int
    fixed: float


@dataclass(frozen=True)
class Load:
    """What is asked for: images, samples to forget in a night, models that hold them and devices to compute on."""

    num_images: int
    num_forget: int
    num_models: int
    num_devices: int


def unlearn_seconds(costs: UnitCosts, params: Params, load: Load) -> float:
    """Returns what a wave of one model takes on one device; as many held-out samples are searched as are forgotten."""
    remain = load.num_images if params.data.remain == "use" else load.num_forget
    fine_tuning = params.unlearning.epochs * remain * costs.step
    return costs.fixed + 2 * load.num_forget * costs.search + fine_tuning + NUM_LOOKS * load.num_images * costs.look


def retrain_seconds(costs: UnitCosts, params: Params, load: Load) -> float:
    """Returns what exact retraining of one model takes on one device, audit left out: it needs none."""
    return costs.fixed + params.training.epochs * (load.num_images - load.num_forget) * costs.step


def find_break_even(costs: UnitCosts, params: Params, num_forget: int) -> int | None:
    """Returns the least number of images from which a wave is cheaper than retraining; None where it never is."""
    for exponent in range(40, 400):
        num_images = round(10 ** (exponent / 40))
        load = Load(num_images, num_forget, 1, 1)
        is_cheaper = unlearn_seconds(costs, params, load) < retrain_seconds(costs, params, load)
        if num_images > 2 * num_forget and is_cheaper:
            return num_images
    return None


def store_bytes(costs: UnitCosts, params: Params, load: Load, num_classes: int) -> float:
    """Returns what lies on disk for all models after a night: samples, references' logits, one more version of each."""
    num_references = params.references.num_audit + params.references.num_target
    logits = load.num_images * (4 * num_references * num_classes + ROW_BYTES)
    images = load.num_images * (costs.image_bytes + ROW_BYTES)
    return load.num_models * (images + logits + 2 * costs.weight_bytes + 8 * load.num_forget * costs.image_bytes)


def measure_units(params: Params, fixed: float, shape: tuple[int, int, int], num_classes: int) -> UnitCosts:
    """Measures the units in processor seconds, which other work on the machine hardly changes.

    Args:
        params: which model, and how it is trained.
        fixed: seconds of a night in which nothing is computed.
        shape: (C, H, W) of an image.
        num_classes: of the model.
    """
    size = params.training.batch_size
    model = build_model(params.model, num_classes, shape, 0)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1000, *shape, generator=generator)
    labels = torch.randint(num_classes, (1000,), generator=generator)
    optimizer = make_optimizer(model, params.training, learning_rate=0.01, num_steps=1)
    step = _time(
        lambda: take_step(model, optimizer, images[:size], labels[:size], params.runtime.precision, cross_entropy)
    )
    model.eval()
    look = _time(lambda: compute_logits(model, images))
    own = compute_logits(model, images[:256]).argmax(1)
    search = _time(lambda: search_together(model, images[:256], own, params.adversarial, str))
    weight_bytes = sum(tensor.nbytes for tensor in model.state_dict().values())
    return UnitCosts(step / size, look / 1000, search / 256, images[0].numel(), weight_bytes, fixed)


def _time(work: Callable[[], object], least: float = 3.0) -> float:
    """Returns the processor seconds of one call, once it has been called before."""
    work()
    began_at, number = time.process_time(), 0
    while number < 2 or time.process_time() - began_at < least:
        work()
        number += 1
    return (time.process_time() - began_at) / number


def print_night(costs: UnitCosts, params: Params, load: Load, asked: argparse.Namespace) -> None:
    """Prints a line for a night."""
    seconds = unlearn_seconds(costs, params, load)
    device_hours = seconds * load.num_models / 3600
    # each model by one device: a wave is not spread over several
    night = seconds * -(-load.num_models // load.num_devices) / 3600
    stored = store_bytes(costs, params, load, asked.classes) / 1e9
    share = seconds / retrain_seconds(costs, params, load)
    cost = device_hours * asked.device_price + stored * asked.storage_price / 30
    memory = 4 * load.num_images * costs.image_bytes / 2**30
    print(
        f"{load.num_images:>13,} {load.num_forget:>11,} {night:>12,.2f} {device_hours:>12,.2f} {share:>9.2f} "
        f"{stored:>12,.1f} {cost:>12,.2f} {memory:>11,.1f}"
    )


def main() -> None:
    """Measures the units and prints the nights and the break-even."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value, told in (
        ("images", 0, "instead of 10^4 to 10^9"),
        ("requests", 0, "a night, instead of 10 to 10^6"),
        ("samples", 5, "of a request"),
        ("models", 1, "that hold them"),
        ("devices", 1, "to compute on"),
        ("classes", 10, "of the model"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=told)
    parser.add_argument("--shape", type=int, nargs=3, default=(1, 8, 8), help="channels, height and width of an image")
    parser.add_argument("--fixed", type=float, default=60.0, help="seconds of a night in which nothing is computed")
    parser.add_argument("--device-price", type=float, default=2.0, help="an hour of a device")
    parser.add_argument("--storage-price", type=float, default=0.023, help="a gigabyte for a month")
    asked = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    print(describe_machine(configure_torch(params.runtime)))
    channels, height, width = asked.shape
    costs = measure_units(params, asked.fixed, (channels, height, width), asked.classes)
    print(
        f"a sample: step {costs.step * 1e6:.0f} us, look {costs.look * 1e6:.0f} us, search {costs.search * 1e6:.0f} us"
    )
    print("       images      forget      night h     device h  retrain=1   stored GB   cost a night  float32 GiB")
    for num_images in [asked.images] if asked.images else SIZES:
        for num_requests in [asked.requests] if asked.requests else REQUESTS:
            if 2 * num_requests * asked.samples <= num_images:
                load = Load(num_images, num_requests * asked.samples, asked.models, asked.devices)
                print_night(costs, params, load, asked)
    for num_requests in [asked.requests] if asked.requests else REQUESTS:
        least = find_break_even(costs, params, num_requests * asked.samples)
        told = "no size" if least is None else f"about {least:,} images on"
        print(f"{num_requests:,} requests: a wave is cheaper than retraining by params.yaml from {told}")
    own = params.unlearning.epochs * costs.step + NUM_LOOKS * costs.look
    print(f"an image of a wave {own * 1e6:.0f} us here; of the fastest training known {FASTEST_SECONDS * 1e6:.0f} us")


if __name__ == "__main__":
    main()
