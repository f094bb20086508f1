"""On paper: what a night costs, by what devices, storage and requests to S3 are sold for."""

from dataclasses import dataclass

from amun.core.memory import GIB
from amun.costs.s3 import Requests

DAYS_A_MONTH = 30


@dataclass(frozen=True)
class Prices:
    """What is paid, in one currency.

    Attributes:
        device_hour: an hour of a device.
        gigabyte_month: 2^30 bytes kept for a month.
        thousand_puts: requests that write or list.
        thousand_gets: requests that read.
    """

    device_hour: float
    gigabyte_month: float
    thousand_puts: float
    thousand_gets: float


@dataclass(frozen=True)
class Bill:
    """What a night costs: its devices, a day of what is stored, its requests to S3."""

    devices: float
    storage: float
    requests: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.devices + self.storage + self.requests


def price_night(prices: Prices, device_seconds: float, stored_bytes: float, requests: Requests) -> Bill:
    """Returns what a night costs.

    Args:
        prices: of all.
        device_seconds: of all devices together.
        stored_bytes: after it.
        requests: to S3.
    """
    return Bill(
        devices=device_seconds / 3600 * prices.device_hour,
        storage=stored_bytes / GIB * prices.gigabyte_month / DAYS_A_MONTH,
        requests=requests.price(prices.thousand_puts, prices.thousand_gets),
    )
