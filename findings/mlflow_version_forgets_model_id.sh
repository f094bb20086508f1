#!/usr/bin/env bash
# MLflow's registry on a database takes `model_id` when a model version is made, and forgets it: create, get and search
# all return None. The logged model that a version is made of is to be found through `source` alone; who asks
# `version.model_id`, say to delete the version's files, finds nothing and no error. A made-up id is taken as well.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check mlflow==3.17.2 SQLAlchemy==2.0.58

export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true HOME=$work
cd "$work"
cat > seen.py <<'PYTHON'
import mlflow
from mlflow import MlflowClient

mlflow.set_tracking_uri("sqlite:///registry.db")
client = MlflowClient()
experiment = client.create_experiment("digits")
run = client.create_run(experiment).info.run_id
logged = client.create_logged_model(experiment, source_run_id=run)
client.create_registered_model("digits")
made = client.create_model_version("digits", f"models:/{logged.model_id}", run, model_id=logged.model_id)
got = client.get_model_version("digits", made.version)
(searched,) = client.search_model_versions("name = 'digits'")
other = client.create_model_version("digits", f"models:/{logged.model_id}", run, model_id="m-of-nobody")
print("source names it:", got.source == f"models:/{logged.model_id}")
print("model_id by create, get, search:", made.model_id, got.model_id, searched.model_id)
print("made-up model_id: version", other.version)
PYTHON

"$work/venv/bin/python" -c 'import importlib.metadata as m; print("mlflow", m.version("mlflow"))'
echo "expected: what was given comes back, or is refused"
echo "seen:"
"$work/venv/bin/python" seen.py 2> errors > said || { cat errors; exit 1; }
sed 's/^/  /' said
diff said - <<'SAID' > /dev/null || { echo "changed: what a version says of its model"; exit 1; }
source names it: True
model_id by create, get, search: None None None
made-up model_id: version 2
SAID
