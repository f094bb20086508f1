"""The model's files in MLflow: the one for serving, and the digests of what the registry holds."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import mlflow
import mlflow.pytorch
import torch
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema

from amun.core.errors import AmunError
from amun.core.keys import file_digest, load_secret
from amun.core.paths import TRAIN, UNLEARNED
from amun.core.temporary import catch_temporary, open_temporary
from amun.evidence.figures import PrepareFigures, read_figures
from amun.model.building import load_for
from amun.model.serving import Served
from amun.store.store import read_shape
from tasks.tools.registered import COMMIT_TAG
from tasks.tools.registry import SERVING_FILE, download
from tasks.workspace.workspace import Workspace


def log_model(workspace: Workspace, run_id: str, name: str, commit: str) -> tuple[str, str]:
    """Logs the model for serving, as pt2, which gives probabilities; the signature names the classes in their order.

    Its input example is noise, for MLflow stores it in clear.

    Returns its address and its id.
    """
    train = read_shape(workspace.root / TRAIN)
    model = Served(load_for(workspace.params, train, torch.device("cpu"), workspace.root / UNLEARNED)).eval()
    noise = torch.rand((2, *train.payload_shape), generator=torch.Generator().manual_seed(0))
    classes = read_figures(PrepareFigures, workspace.root).classes
    signature = ModelSignature(infer_signature(noise.numpy()).inputs, describe_outputs(classes, train.num_classes))
    # MLflow writes the model in clear on its way, and what is killed leaves it
    with catch_temporary(), mlflow.start_run(run_id=run_id):
        logged = mlflow.pytorch.log_model(
            model,
            name=name,
            serialization_format="pt2",
            input_example=noise.numpy(),
            signature=signature,
            # where the run is removed, this tells whose weights they are
            metadata={COMMIT_TAG: commit},
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        )
    return logged.model_uri, logged.model_id


def describe_outputs(classes: Sequence[str] | None, num_classes: int) -> Schema:
    """Returns the columns that the served model gives: one probability for each class, in the order of the labels.

    Args:
        classes: their names; None where the workspace does not know them, and a class is called by its label.
        num_classes: how many the model tells apart; a source may name more, of which it holds no sample.
    """
    names = map(str, range(num_classes)) if classes is None else classes[:num_classes]
    return Schema([ColSpec(DataType.float, name) for name in names])


def digest_serving_file(root: Path, model_uri: str) -> str:
    """Returns the keyed digest of the pt2 file as the registry gives it now.

    Raises:
        AmunError: it is damaged.
    """
    with open_temporary() as folder:
        serving = download(model_uri, folder) / SERVING_FILE
        if not zipfile.is_zipfile(serving) or zipfile.ZipFile(serving).testzip():
            raise AmunError(f"the registry gives a damaged {SERVING_FILE}; run the wave again")
        return file_digest(load_secret(root), serving)
