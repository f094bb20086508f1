#!/usr/bin/env bash
# Runs `bench/gpu.py` with the Python that is here: `.venv`'s after `make setup`, or one that has torch.
set -euo pipefail
cd "$(dirname "$0")/.."
export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true
# cuBLAS reads it when it starts
export CUBLAS_WORKSPACE_CONFIG=:4096:8
python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -m bench.gpu "$@"
