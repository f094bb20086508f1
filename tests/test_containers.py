"""Images, Compose and Kubernetes in `infra/`: validators pass, and nothing runs with more rights than it needs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from kubernetes_validate import latest_version, validate

from infra.s3.serve import REGION, START_SECONDS
from tasks.tools.environment import find_free_port
from tasks.tools.mail import PORTS
from tests.debian import provide_program
from tests.readme import read_blocks
from tests.swift import ensure_environment
from tests.test_infra import INFRA, list_explained
from tests.workspaces import ROOT

BIN = Path(sys.executable).parent
DOCKERFILES = sorted(INFRA.rglob("Dockerfile"))
COMPOSE = [INFRA / "compose.yaml", INFRA / "compose.gpu.yaml"]
OVERLAYS = ["base", "gpu"]
EXAMPLE = INFRA / "deploy.env.example"


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    linted = run(BIN / "hadolint", path)
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_image_ends_as_a_user_and_takes_what_the_context_has(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    *_, user = (line.split()[1] for line in lines if line.startswith("USER "))
    assert int(user.partition(":")[0]) >= 10000
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"]
    copied = [name for line in lines if re.match(r"COPY (?!--from)", line) for name in line.split()[1:-1]]
    assert copied
    for name in copied:
        assert name == "." or any(name == one or name.startswith(f"{one}/") for one in sent), name


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_compose_file_is_one_by_its_schema(path: Path) -> None:
    checked = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)
    assert checked.returncode == 0, checked.stdout


def test_docker_understands_the_compose_files() -> None:
    if shutil.which("docker") is None or run("docker", "compose", "version").returncode:
        pytest.skip("this machine has no Docker with Compose")
    variables = dict.fromkeys(read_example(), "x")
    shown = run("docker", "compose", *(f"--file={path}" for path in COMPOSE), "config", "--quiet", **variables)
    assert shown.returncode == 0, shown.stderr


def read_example() -> dict[str, str]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def read_services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE[0].read_text(encoding="utf-8"))["services"]
    return found


def test_variables_of_compose_stand_in_the_example_and_have_no_password_yet() -> None:
    example, text = read_example(), COMPOSE[0].read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert needed
    assert needed <= set(example)
    assert {name for name, value in example.items() if not value} == {
        "PGPASSWORD",
        "SERVERS_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
    }
    # a password in an address is in every log that names the server
    assert not [value for value in example.values() if re.search(r"//[^/@]*:[^/@]*@", value)]
    assert set(example) <= {*list_explained()} | {"PGPASSWORD", "SERVERS_PASSWORD"}
    # every server that the variables name is one of these
    hosts = {match[1] for value in example.values() if (match := re.search(r"//(?:[^/@]*@)?([a-z0-9]+)", value))}
    assert hosts <= set(read_services())


def test_services_of_ours_have_no_more_rights_than_they_need() -> None:
    ours = {name: service for name, service in read_services().items() if "build" in service}
    assert set(ours) == {"amun", "api", "mlflow", "prefect", "s3"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    # the pages ask for no password: this machine alone reaches them
    assert all(
        port.startswith("127.0.0.1:") for service in read_services().values() for port in service.get("ports", [])
    )


@pytest.fixture(scope="module", params=OVERLAYS)
def resources(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What an overlay makes, by kubectl's own kustomize."""
    made = run(provide_program("kubectl", "kubernetes-client"), "kustomize", INFRA / "kubernetes" / request.param)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def test_page_names_files_and_parts_that_are_there(resources: list[dict[str, Any]]) -> None:
    text = "".join(read_blocks("deploy.md", "console"))
    lines = text.splitlines()
    paths = [path for line in lines for path in re.findall(r"infra/[\w./-]+", line) if not path.endswith("YOURS")]
    assert [path for path in paths if not (ROOT / path).exists() and path != "infra/deploy.env"] == []
    started = [word for line in lines if line.startswith("dc up --detach ") for word in line.split()[3:]]
    assert {*started} == {*read_services()} - {"amun", "api"}
    assert {*re.findall(r"deployment/(\w+)", text)} <= find_names(resources, "Deployment")
    named = {
        one[kind]["name"] for pod in list_pods(resources) for one in pod["containers"][0]["envFrom"] for kind in one
    }
    assert named <= {*re.findall(r"create secret generic (\S+)", text)} | find_names(resources, "ConfigMap")


def test_overlay_of_the_page_is_one(tmp_path: Path) -> None:
    (overlay,) = read_blocks("deploy.md#in-a-cluster-kubernetes", "yaml")
    shutil.copytree(INFRA / "kubernetes/base", tmp_path / "base")
    (tmp_path / "yours").mkdir()
    (tmp_path / "yours/kustomization.yaml").write_text(overlay, encoding="utf-8")
    for name, line in (("amun.env", "AMUN_LOG=text"), ("servers.env", "PREFECT_LOGGING_LEVEL=INFO")):
        (tmp_path / "yours" / name).write_text(f"{line}\n", encoding="utf-8")
    made = run(provide_program("kubectl", "kubernetes-client"), "kustomize", tmp_path / "yours")
    assert made.returncode == 0, made.stderr
    resources = list(yaml.safe_load_all(made.stdout))
    assert {pod["containers"][0]["image"] for pod in list_pods(resources)} == {"registry.example.org/amun:1"}
    told = [one["data"] for one in resources if one["kind"] == "ConfigMap"]
    assert {"AMUN_LOG", "PREFECT_LOGGING_LEVEL"} <= {name for data in told for name in data}


def list_pods(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for one in resources if one["kind"] == "Deployment"]


def find_names(resources: list[dict[str, Any]], kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in resources if one["kind"] == kind}


def test_kubernetes_knows_every_field(resources: list[dict[str, Any]]) -> None:
    for resource in resources:
        validate(resource, latest_version(), strict=True)
    assert find_names(resources, "Deployment") == {"mlflow", "prefect", "worker"}


def test_pods_are_restricted_and_told_what_the_code_knows(resources: list[dict[str, Any]]) -> None:
    told = [name for one in resources if one["kind"] == "ConfigMap" for name in one["data"]]
    assert {*told} <= {*list_explained()}
    for pod in list_pods(resources):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounted = {one["name"] for one in container["volumeMounts"]}
        assert mounted == {one["name"] for one in pod["volumes"]}


def test_the_worker_reaches_whom_it_tells(resources: list[dict[str, Any]]) -> None:
    (policy,) = [
        one["spec"] for one in resources if (one["kind"], one["metadata"]["name"]) == ("NetworkPolicy", "worker")
    ]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert {port for scheme, port in PORTS.items() if scheme != "smtp"} <= ports


def test_servers_that_ask_no_password_know_none_of_the_keys(resources: list[dict[str, Any]]) -> None:
    services = read_services()
    assert [name for name, service in services.items() if "env_file" in service] == ["amun"]
    asked = {"PGPASSWORD", "AMUN_LEDGER_URL", "AMUN_KEYS_URL", "AMUN_KEK", "AMUN_LOG"}
    suites = {f"AMUN_OPENDSR_{name}" for name in ("KEY", "CERTIFICATE", "CALLBACKS")}
    assert {*services["api"]["environment"]} == asked | suites
    for name in ("mlflow", "prefect"):
        settings = services[name]["environment"]
        assert settings["PGPASSWORD"] == "${SERVERS_PASSWORD}"
        assert not [key for key in settings if key.startswith("AMUN_")]
    addresses = re.findall(r"postgresql\+(?:psycopg|asyncpg)://(\w+)@", COMPOSE[0].read_text(encoding="utf-8"))
    assert addresses == ["servers", "servers"]
    pods = {pod["containers"][0]["name"]: pod["containers"][0]["envFrom"] for pod in list_pods(resources)}
    secrets = {
        name: [one["secretRef"]["name"] for one in sources if "secretRef" in one] for name, sources in pods.items()
    }
    assert secrets == {"mlflow": ["servers"], "prefect": ["servers"], "worker": ["amun"]}


def test_s3_server_keeps_its_bucket_over_a_restart(common: Path, tmp_path: Path) -> None:
    program, (port, stores) = ensure_environment(common / "swift") / "python", (find_free_port(), find_free_port())
    command = [str(program), str(INFRA / "s3/serve.py"), str(tmp_path / "data"), "--bucket", "amun"]
    command += ["--port", str(port), "--stores", str(stores)]
    refused = run(*command, S3_KEY="amun", S3_SECRET="")
    assert (refused.returncode, "S3_KEY" in refused.stderr, (tmp_path / "data").exists()) == (2, True, False)
    with serve_s3(command, port) as client:
        client.put_object(Bucket="amun", Key="kept", Body=b"content")
    with serve_s3(command, port) as client:
        assert client.get_object(Bucket="amun", Key="kept")["Body"].read() == b"content"


@contextmanager
def serve_s3(command: list[str], port: int) -> Iterator[Any]:
    """Gives a client of a server that runs for as long as the client is used, and ends well."""
    key, secret = "amun:amun", "secret"
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=REGION,
        config=Config(retries={"total_max_attempts": 1}),
    )
    with subprocess.Popen(command, env=os.environ | {"S3_KEY": key, "S3_SECRET": secret}) as server:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(BotoCoreError, ClientError):
                client.head_bucket(Bucket="amun")
                break
            time.sleep(0.2)
        try:
            yield client
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(START_SECONDS) == 0
