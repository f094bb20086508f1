"""References that a killed run has trained: their logits in the sample store's form, sealed as those of all are."""

from contextlib import suppress
from pathlib import Path

import torch

from amun.core.errors import DamagedError
from amun.model.references import Trained
from amun.store.samples import LabelledSamples, Samples, read_samples, write_samples
from amun.vault.seal import Seal

_ENDINGS = {False: ".parquet", True: ".anew.parquet"}  # by whether training began anew


class KeptReferences:
    """Keeps trained references, each in a file of its own, by the name of its shard."""

    def __init__(self, folder: Path, samples: LabelledSamples, seal: Seal | None) -> None:
        """Names the folder.

        Args:
            folder: for references of these samples, trained on the same inputs alone.
            samples: (N,) whose logits they are.
            seal: of the stage; None where payloads lie in clear.
        """
        self._folder = folder
        self._samples = samples
        self._seal = None if seal is None else seal.within("kept")

    def read(self, name: str) -> Trained | None:
        """Returns a reference without its weights; None where it was not kept, or its file is damaged.

        Raises:
            InputError, AmunError: the key store cannot be had.
        """
        for began_anew, ending in _ENDINGS.items():
            path = self._folder / f"{name}{ending}"
            if path.exists():
                with suppress(DamagedError):  # the machine went down while it was written: it is trained again
                    kept = read_samples(path)
                    if kept.sample_ids.tolist() == self._samples.sample_ids.tolist():
                        return Trained(kept.payloads.numpy(), b"", began_anew)
        return None

    def keep(self, name: str, result: Trained) -> None:
        """Writes a reference's logits."""
        samples, logits = self._samples, torch.from_numpy(result.logits)
        path = self._folder / f"{name}{_ENDINGS[result.began_anew]}"
        write_samples(path, Samples(samples.sample_ids, samples.subject_ids, samples.labels, logits), self._seal)
