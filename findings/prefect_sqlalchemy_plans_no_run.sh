#!/usr/bin/env bash
# Prefect 3.8.8 asks for SQLAlchemy >= 2.0, < 3.0, and pip takes 2.1. With it the server starts, is healthy, takes a
# deployment with a schedule and shows it as active, and plans no run of it: its scheduler fails on each round with
# `Can't evaluate bulk DML statement`, which stands in the server's log alone. With 2.0.58 the same runs are planned.
set -euo pipefail

work=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2> /dev/null || true
    server=
}
trap 'stop; rm -rf "$work"' EXIT
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false HOME=$work
cd "$work"
cat > planned.py <<'PYTHON'
import os
import time
from datetime import timedelta

import httpx
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule


@flow
def night():
    pass


with get_client(sync_client=True) as client:
    flow_id = client.create_flow(night)
    each_hour = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)))
    made = client.create_deployment(flow_id, "hourly", schedules=[each_hour])
    with httpx.Client(base_url=os.environ["PREFECT_API_URL"]) as plain:
        print("health:", plain.get("/health").json())
        deployment = plain.get(f"/deployments/{made}").json()
        print("paused:", deployment["paused"], "schedule active:", deployment["schedules"][0]["active"])
        for _ in range(40):  # the scheduler looks every few seconds
            planned = plain.post("/flow_runs/count", json={}).json()
            if planned:
                break
            time.sleep(1)
        print("runs are planned:", planned > 0)
PYTHON

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

see() { # see VENV: what a server with that environment's packages says
    local port
    port=$(free_port)
    export PREFECT_HOME=$work/home-$1 PREFECT_API_URL=http://127.0.0.1:$port/api
    "$1/bin/prefect" server start --host 127.0.0.1 --port "$port" > "$1.log" 2>&1 &
    server=$!
    for _ in $(seq 60); do
        "$1/bin/python" -c "import httpx; httpx.get('$PREFECT_API_URL/health').raise_for_status()" 2> /dev/null && break
        sleep 1
    done
    "$1/bin/python" planned.py 2> "$1.errors" || { cat "$1.errors"; exit 1; }
    echo "the server's log names it: $(grep -q "Can't evaluate bulk DML statement" "$1.log" && echo yes || echo no)"
    stop
}

for version in 2.0.58 2.1.9; do
    python3 -m venv "$version"
    "$version/bin/pip" install -qq --disable-pip-version-check prefect==3.8.8 "SQLAlchemy==$version" fastapi==0.150.0
done
echo "prefect $(2.1.9/bin/python -c 'import importlib.metadata as m; print(m.version("prefect"), *[r for r in m.requires("prefect") if r.startswith("sqlalchemy[")])')"
echo "expected: the same with both, or a server that does not start"
echo "seen:"
for version in 2.0.58 2.1.9; do
    echo "SQLAlchemy $version"
    see "$version"
done > said
sed 's/^/  /' said
diff said - <<'SAID' > /dev/null || { echo "changed: what is planned"; exit 1; }
SQLAlchemy 2.0.58
health: True
paused: False schedule active: True
runs are planned: True
the server's log names it: no
SQLAlchemy 2.1.9
health: True
paused: False schedule active: True
runs are planned: False
the server's log names it: yes
SAID
