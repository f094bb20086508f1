"""On paper: how long a night is, what it costs and keeps, and from which size on unlearning is cheaper than retraining.

    python -m bench.nights                      unit costs measured here, in processor seconds; a minute
    python -m bench.nights --images 1000000 --requests 100 --models 3 --devices 2
    python -m bench.nights --shape 3 32 32 --classes 100     of the network that params.yaml names, on such images
    python -m bench.nights --speed 20                       as if a device took a twentieth of the time measured here

Sums over measured unit costs, nothing else (`amun.costs.night`): a night searches, fine-tunes and looks at samples, as
`params.yaml` says. Requests to S3 are those that a night was counted to make (`amun.costs.s3`), with DVC's remote in a
bucket that keeps the files of `--nights` earlier nights, and an intake bucket that keeps their requests. Prices are
parameters. As they are they are those of Amazon's S3 Standard in us-east-1, and about that of a processor's thread: a
faster device (`--speed`) has another (`--device-price`). It is paid for the fixed minute, too.
Requests are of `--samples` samples each. What is not in it: waiting for servers, people who wait in the queue, what it
costs to read out of a cloud (1 GiB a night is read again), copies in DVC's cache beside the bucket's, and exact
retraining after a night too small to show forgetting (`gate.insufficient: retrain`), which costs both.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from amun.core.params import Params
from amun.core.paths import PARAMS
from amun.costs.night import Load, UnitCosts, base_seconds, find_break_even, retrain_seconds, unlearn_seconds
from amun.costs.prices import Prices, price_night
from amun.costs.s3 import count_intake, count_night
from amun.model.architectures import build_model
from amun.model.training import compute_logits, configure_torch, make_optimizer, take_step
from amun.params import load_params
from amun.search.catalogue import search_together
from amun.study.machine import describe_machine
from bench.wave import ROOT

SIZES, REQUESTS = (10**4, 10**5, 10**6, 10**7, 10**8, 10**9), (10, 10**3, 10**6)
FASTEST_SECONDS = 2.0 / 50_000  # an image of CIFAR-10, to 94 %, on one A100 (K. Jordan, airbench; public record)
NUM_REPORT_LOOKS = 2  # passes over the samples after the audit: report, worst cases
NUM_FILES = 12  # of a workspace under DVC, after a night of one attempt
ROW_BYTES = 150  # of a sealed row beside its payload: ids, tag, label


@dataclass(frozen=True)
class Sizes:
    """What a sample, and a version of the model, take on disk, in bytes."""

    image: int
    weights: int


def store_bytes(sizes: Sizes, params: Params, load: Load, num_classes: int) -> float:
    """Returns what lies on disk for all models after a night: samples, references' logits, one more version of each."""
    num_references = params.references.num_audit + params.references.num_target
    logits = load.num_images * (4 * num_references * num_classes + ROW_BYTES)
    images = load.num_images * (sizes.image + ROW_BYTES)
    return load.num_models * (images + logits + sizes.weights + sum(list_pushed(sizes, load)))


def list_pushed(sizes: Sizes, load: Load) -> list[float]:
    """Returns the bytes of the files that a night adds for one model: weights, and two of adversarial examples."""
    return [sizes.weights, *[4.0 * load.num_forget * sizes.image] * 2]


def measure_units(
    params: Params, fixed: float, shape: tuple[int, int, int], num_classes: int
) -> tuple[UnitCosts, Sizes]:
    """Measures the units in processor seconds, which other work on the machine hardly changes.

    A step of fine-tuning is one of training here; a workspace tells them apart (`amun wave plan`).

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
    costs = UnitCosts(
        train=step / size,
        tune=step / size,
        search=search / 256,
        audit=look / 1000,
        report=NUM_REPORT_LOOKS * look / 1000,
        fixed=fixed,
    )
    return costs, Sizes(images[0].numel(), weight_bytes)


def _time(work: Callable[[], object], least: float = 3.0) -> float:
    """Returns the processor seconds of one call, once it has been called before."""
    work()
    began_at, number = time.process_time(), 0
    while number < 2 or time.process_time() - began_at < least:
        work()
        number += 1
    return (time.process_time() - began_at) / number


def print_night(
    costs: UnitCosts, sizes: Sizes, params: Params, load: Load, asked: argparse.Namespace, *, is_first: bool
) -> None:
    """Prints a line of the table for a night; before the first one those that name the columns."""
    seconds = unlearn_seconds(costs, params, load)
    device_seconds = seconds * load.num_models
    # each model by one device: a wave is not spread over several
    night = seconds * -(-load.num_models // load.num_devices) / 3600
    pushed = list_pushed(sizes, load)
    earlier = load.num_models * asked.nights * sum(pushed)
    stored = store_bytes(sizes, params, load, asked.classes) + earlier
    share = seconds / retrain_seconds(costs, params, load)
    num_objects = -(-load.num_forget // (asked.samples * asked.per_object))
    own = count_night(pushed, NUM_FILES, NUM_FILES + asked.nights * len(pushed), stored / load.num_models)
    # all models read one intake
    requests = sum([own] * load.num_models, count_intake(num_objects, num_objects * asked.nights))
    prices = Prices(asked.device_price, asked.storage_price, asked.put_price, asked.get_price)
    bill = price_night(prices, device_seconds, stored, requests)
    told = {
        "images": f"{load.num_images:,}",
        "to forget": f"{load.num_forget:,}",
        "night, h": f"{night:.2f}",
        "devices, h": f"{device_seconds / 3600:.2f}",
        "of exact retraining": f"{share:.2f}",
        "a base, h": f"{base_seconds(costs, params, load.num_images) / 3600:.1f}",
        "stored, GB": f"{stored / 1e9:.1f}",
        "PUT and LIST": f"{requests.puts + requests.lists:,}",
        "GET and HEAD": f"{requests.gets:,}",
        "devices": f"{bill.devices:.2f}",
        "storage": f"{bill.storage:.2f}",
        "requests to S3": f"{bill.requests:.3f}",
        "a night": f"{bill.total:.2f}",
        "all as float32, GiB": f"{4 * load.num_images * sizes.image / 2**30:.1f}",
    }
    if is_first:
        print(f"| {' | '.join(told)} |\n|{'---|' * len(told)}")
    print(f"| {' | '.join(told.values())} |")


def main() -> None:
    """Measures the units and prints the nights and the break-even."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value, told in (
        ("images", 0, "instead of 10^4 to 10^9"),
        ("requests", 0, "a night, instead of 10 to 10^6"),
        ("samples", 5, "of a request"),
        ("models", 1, "that hold them"),
        ("devices", 1, "to compute on"),
        ("per-object", 1, "requests in an object of the intake's bucket"),
        ("nights", 365, "before, whose objects lie in the intake's bucket"),
        ("classes", 10, "of the model"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=told)
    parser.add_argument("--shape", type=int, nargs=3, default=(1, 8, 8), help="channels, height and width of an image")
    parser.add_argument("--fixed", type=float, default=60.0, help="seconds of a night in which nothing is computed")
    for name, price, told in (
        ("speed", 1.0, "of a device, as a multiple of a thread's here"),
        ("device-price", 0.05, "an hour of a device"),
        ("storage-price", 0.023, "a gigabyte for a month"),
        ("put-price", 0.005, "a thousand requests to S3 that write or list"),
        ("get-price", 0.0004, "a thousand that read"),
    ):
        parser.add_argument(f"--{name}", type=float, default=price, help=told)
    asked = parser.parse_args()
    params = load_params(ROOT / PARAMS)
    print(describe_machine(configure_torch(params.runtime)))
    channels, height, width = asked.shape
    measured, sizes = measure_units(params, asked.fixed, (channels, height, width), asked.classes)
    costs = measured.speed_up(asked.speed)
    print(
        f"a sample: step {costs.train * 1e6:.0f} us, look {costs.audit * 1e6:.0f} us, "
        f"search {costs.search * 1e6:.0f} us"
    )
    nights = [
        Load(num_images, num_requests * asked.samples, asked.models, asked.devices)
        for num_images in ([asked.images] if asked.images else SIZES)
        for num_requests in ([asked.requests] if asked.requests else REQUESTS)
        if 2 * num_requests * asked.samples <= num_images
    ]
    for number, load in enumerate(nights):
        print_night(costs, sizes, params, load, asked, is_first=number == 0)
    for num_requests in [asked.requests] if asked.requests else REQUESTS:
        least = find_break_even(costs, params, num_requests * asked.samples)
        told = "no size" if least is None else f"about {least:,} images on"
        print(f"{num_requests:,} requests: a wave is cheaper than retraining by params.yaml from {told}")
    own = params.unlearning.epochs * costs.tune + costs.audit + costs.report
    print(f"an image of a wave {own * 1e6:.0f} us here; of the fastest training known {FASTEST_SECONDS * 1e6:.0f} us")


if __name__ == "__main__":
    main()
