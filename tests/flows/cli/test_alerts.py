"""`amun alert` and `amun metrics` as a person and cron type them: told once, over real servers, line by line."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from amun.core.paths import PARAMS
from amun.ledger import Ledger
from flows.cli import main
from tests.amun.ledger.helpers import MODEL
from tests.flows.cli.test_requests import ledger
from tests.readme import fill_in, list_commands, read_blocks, read_cron
from tests.tasks.tools.receivers import Mailbox, Posts, run_smtp, run_web
from tests.workspaces import set_key

__all__ = ["ledger"]


TEST, LIST = (shlex.split(command)[1:] for command in list_commands("alerts.md#channels"))


def type_command(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str, str]:
    """Returns the exit code of a command, and what it printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(command))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def change(**values: Any) -> None:
    """Changes the section `alerts` of the parameters."""
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    for key, value in values.items():
        set_key(params, f"alerts.{key}", value)
    PARAMS.write_text(yaml.safe_dump(params), encoding="utf-8")


def test_where_there_is_no_channel_that_is_told(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, said = type_command(capsys, *TEST)
    assert (code, said) == (2, "amun: there is no channel to test; docs/alerts.md says how to name one\n")
    # its base is old, and no night has followed
    by_cron = read_cron("alerts.md#when-nothing-runs-any-more", Path.cwd(), tmp_path / "cron")
    code, told, said = type_command(capsys, *by_cron)
    assert code == 1
    assert told.startswith("night-missing: no night has ended for ")
    assert told.endswith("`amun wave run` makes up for the nights\n")
    assert said == "amun: nobody is told of this: there is no channel; docs/alerts.md says how to name one\n"
    change(mute=["night-missing"])
    assert type_command(capsys, "alert", "check") == (0, "nothing to tell\n", "")
    (alert,) = ledger.list_alerts(MODEL)
    assert alert.deliveries == ()
    assert " nobody " in type_command(capsys, *LIST)[1]


def test_somebody_is_told_by_every_channel(ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, kept = tmp_path / "key", tmp_path / "kept"
    (draw,) = read_blocks("alerts.md#a-webhook-and-how-it-is-verified", "sh")
    drawn = fill_in(draw, {"/var/lib/amun/keys/webhook-key": shlex.quote(str(key))})
    subprocess.run(["sh", "-c", drawn], check=True)
    assert key.stat().st_mode & 0o777 == 0o600
    change(
        mail_to=["dpo@example.org"],
        mail_from="amun@example.org",
        command=["sh", "-c", f"cat >> {shlex.quote(str(kept))}"],
    )
    with run_smtp(box := Mailbox()) as smtp, run_web(posts := Posts()) as web:
        os.environ |= {
            "AMUN_ALERT_SMTP": f"smtp://127.0.0.1:{smtp}",
            "AMUN_ALERT_WEBHOOK": f"http://127.0.0.1:{web}/hook",
            "AMUN_ALERT_WEBHOOK_KEY": f"file:{key}",
            "AMUN_ALERT_HEARTBEAT": f"http://127.0.0.1:{web}/ping",
        }
        code, told, said = type_command(capsys, *TEST)
        assert (code, said) == (0, "")
        assert told.splitlines() == [
            f"e-mail to dpo@example.org: arrived: 127.0.0.1:{smtp}",
            f"webhook http://127.0.0.1:{web}: arrived: http://127.0.0.1:{web} says 204 No Content",
            "command sh: arrived: sh ended with exit code 0",
            f"heartbeat: arrived: http://127.0.0.1:{web} says 204 No Content",
        ]
        code, told, said = type_command(capsys, "alert", "check")
        assert (code, said, len(told.splitlines())) == (0, "", 1)
        again = type_command(capsys, "alert", "check")
        assert again == (0, told, "")
        # what a day later is told anew is not taken any more
        change(silent_hours=1, mute=["night-missing", "request-unmatched"])
        ledger.add_requests(["somebody else"], received_at=None, now=ledger.list_waves(MODEL)[0].opened_at)
        posts.status = 500
        code, told, said = type_command(capsys, "alert", "check")
        assert (code, told.partition(":")[0]) == (1, "request-overdue")
        assert said.startswith(f"amun: warning: nobody was alerted by webhook: http://127.0.0.1:{web} says 500")
        key.chmod(0o444)
        code, told, said = type_command(capsys, "alert", "test")
        assert (code, said) == (1, "amun: 2 of 4 failed\n")
        assert f"webhook http://127.0.0.1:{web}: failed: AMUN_ALERT_WEBHOOK_KEY: {key} has mode" in told
    subjects = [mail["Subject"].partition(": ")[2].partition(" for ")[0] for mail in box.mails]
    test, missing, late = "a test: this has arrived", "no night has ended", "1 request is past the due date"
    assert subjects == [test, missing, late, test]
    messages = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert [one["kind"] for message in messages for one in message["alerts"]] == [
        "test",
        "night-missing",
        "request-overdue",
        "test",
    ]
    asked = [path for _, path, _, _ in posts.asked]
    assert (asked.count("/hook"), asked.count("/ping")) == (3, 2)
    listed = json.loads(type_command(capsys, "alert", "list", "--json")[1])
    assert [[one["failure"] is None for one in alert["deliveries"]] for alert in listed] == [
        [True] * 3,
        [True, True, False],
    ]
    assert "somebody else" not in json.dumps([listed, messages]) + "".join(mail.as_string() for mail in box.mails)


def test_an_address_that_nobody_has_is_found_by_a_test(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert ledger.list_alerts(MODEL) == []
    change(mail_to=["dpo@example.org", "gone@example.org"], mail_from="amun@example.org")
    with run_smtp(Mailbox(refused=("gone@example.org",))) as port:
        os.environ["AMUN_ALERT_SMTP"] = f"smtp://127.0.0.1:{port}"
        code, told, said = type_command(capsys, "alert", "test")
        where = f"127.0.0.1:{port} refuses gone@example.org, and has taken it for the others"
        who = "e-mail to dpo@example.org, gone@example.org"
        assert (code, told) == (1, f"{who}: arrived, but not for everybody: {where}\n")
        assert said == "amun: 1 of 1 failed\n"
        code, _, said = type_command(capsys, "alert", "check")
        assert (code, said) == (1, f"amun: warning: not everybody was alerted by e-mail: {where}\n")
        # whoever was told is not told again
        assert type_command(capsys, "alert", "check")[0] == 0


def test_metrics_are_printed_or_written_whole(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ledger.list_alerts(MODEL) == []
    code, printed, said = type_command(capsys, "metrics")
    assert (code, said) == (0, "")
    assert 'amun_waves_total{model="digits-cnn",state="complete"} 1.0' in printed
    written = tmp_path / "amun.prom"
    *by_cron, path = read_cron("operations.md#metrics", Path.cwd(), tmp_path / "cron")
    assert Path(path).name == written.name
    assert type_command(capsys, *by_cron, str(written)) == (0, "", "")
    assert written.read_text(encoding="utf-8").splitlines()[:3] == printed.splitlines()[:3]
    # whoever collects them is another user
    assert written.stat().st_mode & 0o777 == 0o644
    code, _, said = type_command(capsys, "metrics", "--to", str(tmp_path / "nowhere/amun.prom"))
    assert (code, said.count("\n")) == (2, 1)
    assert "there is no such folder" in said
