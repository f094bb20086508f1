"""On paper: how long a night is, what it costs and keeps, and from which size on unlearning is cheaper than retraining.

    python -m bench.nights                      unit costs measured here, in processor seconds; a minute
    python -m bench.nights --images 1000000 --requests 100 --models 3 --devices 2
    python -m bench.nights --shape 3 32 32 --classes 100     of the network that params.yaml names, on such images
    python -m bench.nights --speed 20 --device-price 2.0     as if a device took a twentieth of the time, at its price

Sums over measured unit costs, nothing else (`amun.costs.night`): a night searches, fine-tunes and looks at samples, as
`params.yaml` says. Requests to S3 are those that a night was counted to make (`amun.costs.s3`), with DVC's remote in a
bucket, and an intake bucket. Files and objects of all `--nights` earlier nights, each like this one, still lie there.
What is read again each night leaves the bucket: for a machine in the bucket's own region that costs nothing
(`--transfer-price 0`). Prices are parameters; as they are they are those of Amazon's S3 Standard in us-east-1, and of
one of the two threads of an m6i.large there: what is measured here is a thread. A device is paid from the beginning of
a night to its end, so for the fixed minute, too.
Requests are of `--samples` samples each. What is not in it: held-out samples, the bytes of an intake's objects, waiting
for servers, people who wait in the queue, and exact retraining after a night too small to show forgetting
(`gate.insufficient: retrain`), which costs both.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import cross_entropy

from amun.core.params import Params
from amun.core.paths import PARAMS
from amun.costs.night import Load, UnitCosts, base_seconds, find_break_even, retrain_seconds, unlearn_seconds
from amun.costs.prices import GIGABYTE, Prices, price_night
from amun.costs.s3 import MAX_OBJECT_BYTES, count_intake, count_night, read_again
from amun.costs.stored import Sizes, find_too_many, list_base, list_kept, list_pushed
from amun.model.architectures import build_model
from amun.model.training import compute_logits, configure_torch, make_optimizer, take_step
from amun.params import load_params
from amun.search.catalogue import search_together
from amun.study.machine import describe_machine
from bench.wave import ROOT

SIZES, REQUESTS = (10**4, 10**5, 10**6, 10**7, 10**8, 10**9), (10, 10**3, 10**6)
FASTEST_SECONDS = 2.0 / 50_000  # an image of CIFAR-10, to 94 %, on one A100 (K. Jordan, airbench; public record)
NUM_REPORT_LOOKS = 2  # passes over the samples after the audit: report, worst cases
THREAD_PRICE = 0.05  # an hour: Amazon's m6i.large, on demand in us-east-1, has two threads for 0.096


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


def sum_night(costs: UnitCosts, sizes: Sizes, params: Params, load: Load, asked: argparse.Namespace) -> dict[str, str]:
    """Returns what the table tells of a night, by the names of its columns."""
    seconds = unlearn_seconds(costs, params, load)
    device_seconds = seconds * load.num_models
    # each model by one device: a wave is not spread over several
    night = seconds * -(-load.num_models // load.num_devices) / 3600
    share = seconds / retrain_seconds(costs, params, load)
    pushed = list_pushed(sizes, load.num_forget)
    # every file of the base and of the night, and the model with which it begins
    num_files = len(list_base(sizes, params, load.num_images, asked.classes)) + len(pushed) + 1
    kept = list_kept(sizes, params, load, asked.classes, asked.nights)
    stored = load.num_models * sum(kept)
    num_objects = -(-load.num_forget // (asked.samples * asked.per_object))
    own = count_night(pushed, num_files, kept)
    # all models read one intake
    requests = sum([own] * load.num_models, count_intake(num_objects, num_objects * asked.nights))
    read = load.num_models * read_again(kept).num_bytes
    prices = Prices(
        asked.device_price, asked.storage_price, asked.put_price, asked.get_price, gigabyte_out=asked.transfer_price
    )
    bill = price_night(prices, device_seconds, stored, requests, read)
    return {
        "images": f"{load.num_images:,}",
        "to forget": f"{load.num_forget:,}",
        "night, h": f"{night:.2f}",
        "devices, h": f"{device_seconds / 3600:.2f}",
        "of exact retraining": f"{share:.2f}",
        "a base, h": f"{base_seconds(costs, params, load.num_images) / 3600:.1f}",
        "stored, GiB": f"{stored / GIGABYTE:.1f}",
        "read again, GiB": f"{read / GIGABYTE:.1f}",
        "PUT and LIST": f"{requests.puts + requests.lists:,}",
        "GET and HEAD": f"{requests.gets:,}",
        "devices": f"{bill.devices:.2f}",
        "storage": f"{bill.storage:.2f}",
        "requests to S3": f"{bill.requests:.3f}",
        "out of S3": f"{bill.transfer:.2f}",
        "a night": f"{bill.total:.2f}",
        "all as float32, GiB": f"{4 * load.num_images * sizes.image / GIGABYTE:.1f}",
    }


def read_arguments(typed: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns what is asked for on the command line; ends the program where a device has a speed and no price."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value, told in (
        ("images", 0, "instead of 10^4 to 10^9"),
        ("requests", 0, "a night, instead of 10 to 10^6"),
        ("samples", 5, "of a request"),
        ("models", 1, "that hold them"),
        ("devices", 1, "to compute on"),
        ("per-object", 1, "requests in an object of the intake's bucket"),
        ("nights", 365, "before, whose files and objects lie in the buckets"),
        ("classes", 10, "of the model"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=told)
    parser.add_argument("--shape", type=int, nargs=3, default=(1, 8, 8), help="channels, height and width of an image")
    parser.add_argument("--fixed", type=float, default=60.0, help="seconds of a night in which nothing is computed")
    for name, price, told in (
        ("speed", 1.0, "of a device, as a multiple of a thread's here"),
        ("device-price", None, f"an hour of a device; {THREAD_PRICE} for a thread, and to be given with a --speed"),
        ("storage-price", 0.023, "a gigabyte (2^30 bytes) for a month"),
        ("put-price", 0.005, "a thousand requests to S3 that write or list"),
        ("get-price", 0.0004, "a thousand that read"),
        ("transfer-price", 0.09, "a gigabyte that leaves the bucket; 0 for a machine in its region"),
    ):
        parser.add_argument(f"--{name}", type=float, default=price, help=told)
    asked = parser.parse_args(typed)
    if asked.device_price is None:
        if asked.speed != 1:
            parser.error(f"--speed {asked.speed:g} is of another device than a thread here: give its --device-price")
        asked.device_price = THREAD_PRICE
    return asked


def main() -> None:
    """Measures the units and prints the nights and the break-even."""
    asked = read_arguments()
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
        told = sum_night(costs, sizes, params, load, asked)
        if number == 0:
            print(f"| {' | '.join(told)} |\n|{'---|' * len(told)}")
        print(f"| {' | '.join(told.values())} |")
    for num_requests in [asked.requests] if asked.requests else REQUESTS:
        least = find_break_even(costs, params, num_requests * asked.samples)
        size = "no size" if least is None else f"about {least:,} images on"
        print(f"{num_requests:,} requests: a wave is cheaper than retraining by params.yaml from {size}")
    too_many = find_too_many(sizes, params, asked.classes, MAX_OBJECT_BYTES)
    print(f"from {too_many:,} images on a file is larger than the 5 TiB that many S3 servers take in one object")
    own = params.unlearning.epochs * costs.tune + costs.audit + costs.report
    print(f"an image of a wave {own * 1e6:.0f} us here; of the fastest training known {FASTEST_SECONDS * 1e6:.0f} us")


if __name__ == "__main__":
    main()
