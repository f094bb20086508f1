"""`amun api` as somebody types it: the tokens of programs, and an address that cannot be had."""

import json
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from amun.ledger import Ledger
from tasks.tools.environment import find_free_port
from tests.debian import provide_program
from tests.flows.cli.test_alerts import type_command
from tests.flows.cli.test_requests import ledger
from tests.readme import list_commands, read_blocks
from tests.workspaces import BIN

__all__ = ["ledger"]


def test_tokens_are_made_listed_and_revoked(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    code, token, err = type_command(capsys, "api", "token", "add", "crm", "--scope", "requests:write")
    assert (code, err, token.count("\n")) == (0, "", 1)
    made = ledger.find_token(token.strip())
    assert made is not None
    assert (made.name, made.scopes) == ("crm", ("requests:write",))
    for command, words in (
        (("add", "crm", "--scope", "requests:read"), "there is a token crm"),
        (("add", "portal"), "--scope is missing"),
        (("add", "portal", "--scope", "all"), "--scope all: there is no such scope"),
        (("revoke", "portal"), "there is no token 'portal'"),
    ):
        code, out, err = type_command(capsys, "api", "token", *command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err
    code, out, _ = type_command(capsys, "api", "token", "revoke", "crm")
    assert (code, out.startswith("crm opens nothing since ")) == (0, True)
    assert ledger.find_token(token.strip()) is None
    code, out, _ = type_command(capsys, "api", "token", "list", "--columns", "token,scopes")
    assert (code, "requests:write" in out, token.strip() in out) == (0, True, False)
    assert '"revoked_at": "' in type_command(capsys, "api", "token", "list", "--json")[1]


@pytest.mark.usefixtures("ledger")
def test_address_that_cannot_be_had_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = type_command(capsys, "api", "--host", "192.0.2.7", "--port", "9466")
    assert (code, out) == (2, "")
    assert err.startswith("amun: --host 192.0.2.7 --port 9466: it cannot be had on this machine: ")


def test_commands_of_the_page_do_what_it_says(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    add, show, serve, *calls = list_commands("api.md")
    _, token, _ = type_command(capsys, *shlex.split(add)[1:])
    Path("crm-token").write_text(f"Authorization: Bearer {token}", encoding="ascii")
    assert "crm" in type_command(capsys, *shlex.split(show)[1:])[1]
    port = str(find_free_port())
    assert serve == "amun api"
    service = subprocess.Popen(
        [BIN / "amun", "api", "--port", port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert service.stderr is not None
    assert service.stderr.readline() == f"amun: requests are taken at http://127.0.0.1:{port}\n"
    curl = provide_program("curl", "curl")
    answers = [
        json.loads(
            subprocess.run(
                [curl, "--silent", "--noproxy", "*", *shlex.split(call.replace("9466", port))[1:]],
                capture_output=True,
                check=True,
            ).stdout
        )
        for call in calls
    ]
    service.send_signal(signal.SIGTERM)
    log, told = service.communicate()
    assert (service.returncode, told) == (0, "")
    assert [answer.get("request_id", answer.get("status")) for answer in answers] == ["R-000001", "R-000001", "ok"]
    assert answers[1]["outcomes"][0]["state"] == ledger.get_request("R-000001").outcomes[0].state == "pending"
    lines = [json.loads(line) for line in log.splitlines()]
    assert [(line["token"], line["route"], line["outcome"]) for line in lines] == [
        ("crm", "/requests", "recorded"),
        ("crm", "/requests/{request_id}", "ok"),
        (None, "/healthz", "ok"),
    ]
    (example,) = read_blocks("api.md", "json")
    assert [set(line) == set(json.loads(example)) for line in lines] == [True] * 3
