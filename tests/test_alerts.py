"""Somebody is told of a real night, by the commands that a person and cron type."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.readme import list_commands
from tests.tasks.tools.receivers import Mailbox, Posts, run_smtp, run_web
from tests.test_bad_input import assert_one_line
from tests.workspaces import ROOT, Site, set_key

RUNBOOK = ROOT / "docs" / "operations.md"


def test_a_night_keeps_what_needs_a_person(wave_one: Site) -> None:
    alerts = wave_one.load("alert", "list")
    # the first of two attempts was refused, 13 people show little, and there is nobody to tell
    assert [(alert["kind"], alert["object"], alert["deliveries"]) for alert in alerts] == [
        ("wave-refused", "1", []),
        ("wave-insufficient", "1", []),
    ]
    shown = wave_one.run("amun", "alert", "list")
    assert "wave 1: the gate has refused attempt 1" in shown
    assert "subject-" not in shown


def test_somebody_is_told_by_every_channel(site: Site, tmp_path: Path) -> None:
    nobody = site.start("amun", "alert", "test")
    assert_one_line(nobody, 2, "no channel to test", "docs/alerts.md")
    unheard = site.start("amun", "alert", "check")
    assert unheard.returncode == 1
    assert unheard.stdout.startswith("wave-refused: wave 1: ")
    assert unheard.stderr.startswith("amun: nobody is told of this")
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", encoding="ascii")
    key.chmod(0o400)
    kept = tmp_path / "kept"

    def name_channels(params: dict[str, object]) -> None:
        set_key(params, "alerts.mail_to", ["dpo@example.org"])
        set_key(params, "alerts.mail_from", "amun@example.org")
        set_key(params, "alerts.command", ["sh", "-c", f"cat >> {shlex.quote(str(kept))}"])

    site.change_params(name_channels)
    with run_smtp(box := Mailbox()) as smtp, run_web(posts := Posts()) as web:
        told = Site(
            site.root,
            site.variables
            | {
                "AMUN_ALERT_SMTP": f"smtp://127.0.0.1:{smtp}",
                "AMUN_ALERT_WEBHOOK": f"http://127.0.0.1:{web}/hook",
                "AMUN_ALERT_WEBHOOK_KEY": f"file:{key}",
                "AMUN_ALERT_HEARTBEAT": f"http://127.0.0.1:{web}/ping",
            },
        )
        lines = told.run("amun", "alert", "test").splitlines()
        assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["arrived"] * 4
        assert lines[0].startswith(f"e-mail to dpo@example.org: arrived: 127.0.0.1:{smtp}")
        # a request that was due months ago, in a night that has nothing else to do
        told.start("amun", "request", "add", "somebody else", "--received", "2026-01-31")
        assert told.run("amun", "wave", "run") == "nothing to do: no request is pending\n"
        assert told.run("amun", "alert", "check").startswith("request-overdue: 1 request is past the due date; ")
        posts.status = 500
        hook = Site(site.root, told.variables | {"AMUN_ALERT_WEBHOOK_KEY": f"file:{password}"})
        failed = hook.start("amun", "alert", "test")
    assert failed.returncode == 1
    assert "webhook http://127.0.0.1" in failed.stdout
    assert "AMUN_ALERT_WEBHOOK_KEY" in failed.stdout
    subjects = [mail["Subject"] for mail in box.mails]
    assert subjects[0] == "amun digits-cnn: a test: this has arrived"
    assert subjects[1] == "amun digits-cnn: 1 request is past the due date"
    messages = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert [told["kind"] for message in messages[:2] for told in message["alerts"]] == ["test", "request-overdue"]
    assert [path for _, path, _, _ in posts.asked[:4]].count("/ping") == 2
    assert "somebody" not in kept.read_text(encoding="utf-8")


@pytest.mark.long
def test_every_command_of_the_runbook_is_typed(site: Site) -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    runbook = re.search(r"^## The runbook$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert runbook is not None
    commands = [command for command in list_commands(RUNBOOK) if command in runbook[1]]
    assert len(commands) > 30
    site.run("amun", "consumer", "add", "replica-1")
    for command in dict.fromkeys(commands):
        finished = site.start(*shlex.split(command))
        assert finished.returncode == 0, f"{command}: {finished.stderr}"
