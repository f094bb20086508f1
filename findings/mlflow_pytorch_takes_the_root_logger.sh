#!/usr/bin/env bash
# `import mlflow.pytorch` calls logging.basicConfig(level=ERROR). A program that configures logging after its imports,
# as most do, is not heard any more below ERROR; and DVC, asked in the same process, tells each of its lines twice:
# once by its own handler, once by MLflow's. `import mlflow` alone does not do it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    mlflow==3.17.2 torch==2.14.1 dvc==3.67.1 SQLAlchemy==2.0.58

export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true DVC_NO_ANALYTICS=1 HOME=$work
cd "$work"
git init --quiet repo
cd repo
"$work/venv/bin/dvc" init --quiet
printf 'stages:\n  hello:\n    cmd: echo hello > hello.txt\n    outs: [hello.txt]\n' > dvc.yaml

cat > heard.py <<'PYTHON'
"""Imports what is named, then does what the logging tutorial says, then runs DVC."""
import importlib
import logging
import sys

module = importlib.import_module(sys.argv[1])
logging.basicConfig(level=logging.INFO)
logging.getLogger("application").info("application begins")
if sys.argv[2:]:
    from dvc.cli import main

    sys.exit(main(sys.argv[2:]))
PYTHON

check() { # WHAT EXPECTED PATTERN COMMAND...: how many lines hold the pattern
    local what=$1 seen=$2 pattern=$3
    shift 3
    local count
    count=$("$@" 2>&1 | grep -c "$pattern" || true)
    echo "  $what: $count"
    [ "$count" = "$seen" ] || { echo "changed: $what"; exit 1; }
}

run="$work/venv/bin/python heard.py"
"$work/venv/bin/python" -c 'import importlib.metadata as m; print(*(f"{n} {m.version(n)}" for n in ("mlflow", "torch", "dvc")))'
echo "expected: an import configures nobody's logging: the application is heard, and DVC tells a line once"
echo "seen, in lines:"
check "the application, after import mlflow" 1 "application begins" $run mlflow
check "the application, after import mlflow.pytorch" 0 "application begins" $run mlflow.pytorch
check "DVC by itself: running stage" 1 "Running stage" "$work/venv/bin/dvc" repro --force
check "DVC after import mlflow.pytorch: running stage" 2 "Running stage" $run mlflow.pytorch repro --force
