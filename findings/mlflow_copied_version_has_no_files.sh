#!/usr/bin/env bash
# `copy_model_version` is how a version goes from a registered model for trials to the one that serves. The copy has no
# files: its source is the other version. Once that is deleted and `mlflow gc` has run, the copy cannot be loaded
# (`No such artifact: ''`). No step refuses or warns, and the registry still says READY and where the files are.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check mlflow==3.17.2 SQLAlchemy==2.0.58

export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true HOME=$work MLFLOW_TRACKING_URI=sqlite:///registry.db
cd "$work"
cat > copied.py <<'PYTHON'
import mlflow
from mlflow import MlflowClient
from mlflow.pyfunc import PythonModel


class Echo(PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return model_input


with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(name="model", python_model=Echo(), pip_requirements=[])
client = MlflowClient()
mlflow.register_model(logged.model_uri, "trial")
copy = client.copy_model_version("models:/trial/1", "serving")
print("the copy's source:", copy.source)
print("it answers", mlflow.pyfunc.load_model("models:/serving/1").predict(["a"]))
client.delete_model_version("trial", "1")
client.delete_logged_model(logged.model_id)
PYTHON
cat > loaded.py <<'PYTHON'
import mlflow
from mlflow import MlflowClient

version = MlflowClient().get_model_version("serving", "1")
print("after deletion and gc:", version.status, version.source)
try:
    print("it answers", mlflow.pyfunc.load_model("models:/serving/1").predict(["a"]))
except Exception as error:
    print("loading:", error)
PYTHON

echo "mlflow $(venv/bin/python -c 'import importlib.metadata as m; print(m.version("mlflow"))')"
echo "expected: the copy has files of its own, or deleting what it rests on is refused"
echo "seen:"
{
    venv/bin/python copied.py 2> errors || { cat errors >&2; exit 1; }
    venv/bin/mlflow gc --backend-store-uri "$MLFLOW_TRACKING_URI" > gone 2> errors || { cat errors >&2; exit 1; }
    venv/bin/python loaded.py 2> errors || { cat errors >&2; exit 1; }
} > said
sed 's/^/  /' said
diff said - <<'SAID' > /dev/null || { echo "changed: what becomes of a copied version"; exit 1; }
the copy's source: models:/trial/1
it answers ['a']
after deletion and gc: READY models:/trial/1
loading: No such artifact: ''
SAID
