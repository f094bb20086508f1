"""CIFAR-10 as Parquet files of encoded images: columns `id`, `label`, `image` (bytes of a JPEG or PNG)."""

from pathlib import Path

from amun.core.params import Section
from amun.store.sources import parquet
from amun.store.sources.catalogue import Listing

COLUMNS = parquet.Options(key="id", label="label", image="image", subject=None, array_shape=None)


class Options(Section):
    """This source has none."""


def list_images(root: Path | None, _options: Options) -> Listing:
    """Returns the images of every Parquet file under `root`.

    Raises:
        InputError: as for the source `parquet`.
    """
    return parquet.list_images(root, COLUMNS)
