"""Messages arrive at real servers, and one that hangs is given up in time."""

import base64
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from amun.core.errors import AmunError, InputError
from amun.core.network import TIMEOUT_VARIABLE
from amun.core.params import AlertsParams
from tasks.tools.alert_command import CommandChannel
from tasks.tools.channels import Channel, list_channels, list_idle_settings, run_bounded
from tasks.tools.mail import SMTP_PASSWORD_VARIABLE, SMTP_VARIABLE, MailChannel
from tasks.tools.message import Message, Told, read_bound
from tasks.tools.webhook import (
    HEARTBEAT_VARIABLE,
    WEBHOOK_KEY_VARIABLE,
    WEBHOOK_VARIABLE,
    WebhookChannel,
    beat,
    check_heartbeat,
    has_heartbeat,
    sign,
)
from tests.readme import read_blocks
from tests.tasks.tools.receivers import (
    PASSWORD,
    USER,
    Mailbox,
    Posts,
    make_certificate,
    run_drip,
    run_smtp,
    run_web,
)

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
PARKED = Told(
    4, "wave-parked", "7", NOW.isoformat(), "wave 7 is parked, überall", "`amun wave show 7`", "docs#wave-parked"
)
LATE = Told(5, "request-overdue", "", NOW.isoformat(), "1 request is late", "`amun status`", "docs#request-overdue")
MESSAGE = Message("msg_1", "digits-cnn", NOW, [PARKED, LATE])
MAIL = MailChannel("amun@example.org", ["dpo@example.org", "ops@example.org"])
# of the standard's own documentation
KEY, SIGNED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

Hide = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told but by what a test says."""
    for name in (SMTP_VARIABLE, SMTP_PASSWORD_VARIABLE, WEBHOOK_VARIABLE, WEBHOOK_KEY_VARIABLE, HEARTBEAT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(TIMEOUT_VARIABLE, "5")


@pytest.fixture
def hide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hide:
    """Puts a secret into a file for its owner alone, which a variable names."""

    def write(variable: str, secret: str) -> Path:
        path = tmp_path / f"{variable}-{len(list(tmp_path.iterdir()))}"
        path.write_text(f"{secret}\n", encoding="utf-8")
        path.chmod(0o400)
        monkeypatch.setenv(variable, f"file:{path}")
        return path

    return write


def test_mail_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_smtp(box := Mailbox()) as port:
        monkeypatch.setenv(SMTP_VARIABLE, f"smtp://127.0.0.1:{port}")
        assert MAIL.send(MESSAGE) == f"127.0.0.1:{port}"
    (mail,) = box.mails
    assert box.recipients == [["dpo@example.org", "ops@example.org"]]
    assert mail["Subject"] == "amun digits-cnn: wave 7 is parked, überall (and 1 more)"
    assert (mail["From"], mail["Auto-Submitted"]) == ("amun@example.org", "auto-generated")
    assert mail["Date"].datetime == NOW
    text = mail.get_content()
    for told in (PARKED, LATE):
        assert all(part in text for part in (told.line, told.raised_at, told.advice, told.page))


def test_words_end_where_nobody_reads_on() -> None:
    text = Message("msg_1", "digits-cnn", NOW, [LATE] * 53).to_text()
    assert text.startswith("Model digits-cnn: 53 things need a person.\n")
    assert text.count(LATE.line) == 50
    assert text.endswith("\n3 more: `amun alert list`\n")


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_mail_is_encrypted_and_its_password_lies_in_a_file(
    scheme: str, tmp_path: Path, hide: Hide, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    with run_smtp(box := Mailbox(), certificate, starts_tls=scheme != "smtps") as port:
        monkeypatch.setenv(SMTP_VARIABLE, f"{scheme}://{USER}@localhost:{port}")
        hide(SMTP_PASSWORD_VARIABLE, PASSWORD)
        with pytest.raises(AmunError, match=f"localhost:{port}: .*certificate"):
            MAIL.send(MESSAGE)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        MAIL.send(MESSAGE)
        hide(SMTP_PASSWORD_VARIABLE, "wrong")
        with pytest.raises(AmunError, match=f"localhost:{port} says 535") as refused:
            MAIL.send(MESSAGE)
    assert "wrong" not in str(refused.value)
    assert len(box.mails) == 1


def test_mail_that_not_everybody_gets_is_told_and_says_who_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_smtp(box := Mailbox(refused=("ops@example.org",))) as port:
        monkeypatch.setenv(SMTP_VARIABLE, f"smtp://127.0.0.1:{port}")
        said = f"127.0.0.1:{port} refuses ops@example.org, and has taken it for the others"
        assert run_bounded({"e-mail": partial(MAIL.send, MESSAGE)}) == {"e-mail": (True, said, True)}
        assert box.recipients == [["dpo@example.org"]]
        box.refused = ("dpo@example.org", "ops@example.org")
        (ending,) = run_bounded({"e-mail": partial(MAIL.send, MESSAGE)}).values()
        assert ending == (False, f"127.0.0.1:{port} refuses dpo@example.org, ops@example.org", False)


def test_mail_that_was_taken_has_arrived_however_the_server_says_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_smtp(box := Mailbox(goodbye="451 not now")) as port:
        monkeypatch.setenv(SMTP_VARIABLE, f"smtp://127.0.0.1:{port}")
        assert MAIL.send(MESSAGE) == f"127.0.0.1:{port}"
    assert len(box.mails) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_password_that_smtp_cannot_send_is_not_quoted(
    tmp_path: Path, hide: Hide, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    with run_smtp(Mailbox(), certificate) as port:
        monkeypatch.setenv(SMTP_VARIABLE, f"smtps://{USER}@localhost:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        hide(SMTP_PASSWORD_VARIABLE, "schlüssel")
        with pytest.raises(AmunError) as refused:
            MAIL.send(MESSAGE)
    assert str(refused.value) == (
        f"localhost:{port}: server, user and password have to be ASCII, and one of them is not"
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "not set"),
        ("smtp.example.org", "no address of a server"),
        ("https://smtp.example.org", "no address of a server"),
        ("smtps://host:port", "no address of a server"),
        ("smtps://amun:swordfish@host", "a password stands in it"),
        ("smtp://amun@host", "in clear"),
    ],
)
def test_a_mail_server_that_is_none_is_refused(
    address: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address is not None:
        monkeypatch.setenv(SMTP_VARIABLE, address)
    for call in (MAIL.check, partial(MAIL.send, MESSAGE)):
        with pytest.raises(InputError, match=f"^{SMTP_VARIABLE}: .*{words}") as refused:
            call()
        assert PASSWORD not in str(refused.value)


def test_webhook_is_signed_as_the_standard_has_it(hide: Hide, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(WEBHOOK_KEY_VARIABLE, KEY)
    with run_web(posts := Posts()) as port:
        monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{port}/hooks/s3cret")
        assert WebhookChannel().send(MESSAGE) == f"http://127.0.0.1:{port} says 204 No Content"
        assert WebhookChannel().describe() == f"webhook http://127.0.0.1:{port}"
    ((method, path, headers, body),) = posts.asked
    assert (method, path, headers["content-type"]) == ("POST", "/hooks/s3cret", "application/json")
    content = json.loads(body)
    assert (content["form"], content["id"], content["model"]) == (1, "msg_1", "digits-cnn")
    assert [told["kind"] for told in content["alerts"]] == ["wave-parked", "request-overdue"]
    assert content["alerts"][0] == vars(PARKED)
    key = base64.b64decode(KEY.removeprefix("whsec_"))
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", str(int(NOW.timestamp())))
    assert headers["webhook-signature"] == sign(key, "msg_1", int(NOW.timestamp()), body)
    assert sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == SIGNED


def test_the_page_s_own_lines_verify_a_message(hide: Hide, monkeypatch: pytest.MonkeyPatch) -> None:
    (lines,) = read_blocks("alerts.md#a-webhook-and-how-it-is-verified", "python")
    page: dict[str, Any] = {}
    exec(lines, page)  # noqa: S102 - what a reader is told to run
    (example,) = read_blocks("alerts.md#a-webhook-and-how-it-is-verified", "json")
    hide(WEBHOOK_KEY_VARIABLE, KEY)
    with run_web(posts := Posts()) as port:
        monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{port}")
        WebhookChannel().send(MESSAGE)
    ((_, _, headers, body),) = posts.asked
    assert json.loads(example).keys() == json.loads(body).keys()
    assert json.loads(example)["alerts"][0].keys() == json.loads(body)["alerts"][0].keys()
    now = NOW.timestamp()
    assert page["is_genuine"](KEY, headers, body, now)
    assert not page["is_genuine"](KEY, headers, body + b" ", now)
    assert not page["is_genuine"](KEY, headers | {"webhook-id": "msg_2"}, body, now)
    assert not page["is_genuine"](KEY.replace("M", "N", 1), headers, body, now)
    assert not page["is_genuine"](KEY, headers, body, now + 301)


@pytest.mark.parametrize("status", [302, 401, 500])
def test_webhook_that_is_not_taken_has_failed(status: int, hide: Hide) -> None:
    hide(WEBHOOK_KEY_VARIABLE, KEY)
    with run_web(posts := Posts(status)) as port:
        hide(WEBHOOK_VARIABLE, f"http://127.0.0.1:{port}/hooks/s3cret")
        with pytest.raises(AmunError, match=rf"^http://127\.0\.0\.1:{port} says {status} ") as failed:
            WebhookChannel().send(MESSAGE)
    assert "s3cret" not in str(failed.value)
    # whoever sends it on may not be meant to read it
    assert len(posts.asked) == 1


def test_webhook_to_nobody_does_not_tell_its_path(hide: Hide) -> None:
    hide(WEBHOOK_KEY_VARIABLE, KEY)
    for address in (
        "http://127.0.0.1:9/hooks/s3cret",
        "http://nobody.invalid/hooks/s3cret",
        "http://127.0.0.1:99999/s3cret",
    ):
        hide(WEBHOOK_VARIABLE, address)
        with pytest.raises(AmunError) as failed:
            WebhookChannel().send(MESSAGE)
        assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    "address", ["https://amun:s3/cret@host", "https://amun:s3?cret@host/hook", "https://a@s3@host", "https://host:port"]
)
def test_a_web_address_that_is_none_is_refused_and_not_quoted(address: str, hide: Hide) -> None:
    hide(WEBHOOK_VARIABLE, address)
    for call in (WebhookChannel().check, WebhookChannel().describe):
        with pytest.raises(InputError, match=f"^{WEBHOOK_VARIABLE}: no web address") as refused:
            call()
        assert "s3" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://amun:s3cret@host.example:8443/hook", "https://host.example:8443"),
        ("http://[::1]:9000/hook?key=s3cret", "http://[::1]:9000"),
        ("https://host", "https://host"),
    ],
)
def test_of_a_web_address_the_host_is_told(address: str, host: str, hide: Hide) -> None:
    hide(WEBHOOK_VARIABLE, address)
    assert WebhookChannel().describe() == f"webhook {host}"


def test_a_key_that_is_none_is_refused(hide: Hide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, "https://alerts.example.org")
    with pytest.raises(InputError, match="not set, and every message is signed"):
        WebhookChannel().check()
    monkeypatch.setenv(WEBHOOK_KEY_VARIABLE, KEY)
    with pytest.raises(InputError, match="names no file") as refused:
        WebhookChannel().check()
    assert KEY not in str(refused.value)
    path = hide(WEBHOOK_KEY_VARIABLE, "whsec_c2hvcnQ=")
    with pytest.raises(InputError, match="at least 24 bytes"):
        WebhookChannel().check()
    path.chmod(0o640)
    with pytest.raises(InputError, match=f"has mode .*chmod 600 {path}"):
        WebhookChannel().check()
    path.unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        WebhookChannel().check()


def test_heartbeat_is_asked(hide: Hide, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (has_heartbeat(), beat()) == (False, "")
    check_heartbeat()
    with run_web(posts := Posts(200)) as port:
        hide(HEARTBEAT_VARIABLE, f"http://127.0.0.1:{port}/ping/s3cret")
        assert beat() == f"http://127.0.0.1:{port} says 200 OK"
    assert [(method, path) for method, path, _, _ in posts.asked] == [("GET", "/ping/s3cret")]
    monkeypatch.setenv(HEARTBEAT_VARIABLE, "ping.example.org")
    with pytest.raises(InputError, match="no web address"):
        check_heartbeat()


def test_command_gets_the_message_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AMUN_SECRET", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "PREFECT_API_AUTH_STRING"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("MINE", "yes")
    code = "import os, sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read() + repr(dict(os.environ)))"
    kept = tmp_path / "kept"
    channel = CommandChannel([sys.executable, "-c", code, str(kept)])
    assert channel.send(MESSAGE) == f"{sys.executable} ended with exit code 0"
    message, _, environment = kept.read_text(encoding="utf-8").partition("\n")
    assert json.loads(message)["alerts"][1]["line"] == LATE.line
    assert "'MINE': 'yes'" in environment
    assert "s3cret" not in environment


def test_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(AmunError, match="ended with exit code 3"):
        CommandChannel(["sh", "-c", "exit 3"]).send(MESSAGE)
    with pytest.raises(AmunError, match="cannot be started: No such file"):
        CommandChannel([str(tmp_path / "nothing")]).send(MESSAGE)


def test_whoever_hangs_is_given_up(hide: Hide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.3")
    hide(WEBHOOK_KEY_VARIABLE, KEY)
    pid = tmp_path / "pid"
    hanging = CommandChannel(["sh", "-c", f"sleep 600 & echo $! > {pid}; wait"])
    with run_drip(b"HTTP/1.1 200 OK\r\nX: ") as web, run_drip(b"220-") as smtp:
        hide(WEBHOOK_VARIABLE, f"http://127.0.0.1:{web}")
        monkeypatch.setenv(SMTP_VARIABLE, f"smtp://127.0.0.1:{smtp}")
        channels: list[Channel] = [MAIL, WebhookChannel(), hanging]
        ended = run_bounded(
            {channel.name: partial(channel.send, MESSAGE) for channel in channels} | {"well": lambda: "well"}
        )
    assert ended.pop("well") == (True, "well", False)
    assert [one.is_done for one in ended.values()] == [False] * 3
    assert ended["webhook"][1] == "no answer within 0.3 s"
    assert ended["command"][1].endswith("had not ended after 0.3 s, and was killed")
    # what it had started went with it
    assert not is_alive(int(pid.read_text(encoding="ascii")))


def is_alive(process: int) -> bool:
    """Tells whether a process is there and not waiting to be reaped."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_waits_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "3600")
    assert read_bound() == 60


def test_a_fault_of_ours_is_told_by_its_name_alone() -> None:
    def fail() -> str:
        raise KeyError("ann")

    assert run_bounded({"broken": fail}) == {"broken": (False, "failed with KeyError", False)}


NOBODY: dict[str, object] = {
    "mail_to": [],
    "mail_from": None,
    "command": [],
    "mute": [],
    "due_days": 5,
    "silent_hours": 26,
}


def test_variables_that_tell_nobody_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    params = AlertsParams.model_validate(NOBODY)
    assert list_idle_settings(params) == []
    monkeypatch.setenv(SMTP_VARIABLE, "smtp://127.0.0.1")
    monkeypatch.setenv(WEBHOOK_KEY_VARIABLE, "file:/key")
    assert [line.partition(":")[0] for line in list_idle_settings(params)] == [SMTP_VARIABLE, WEBHOOK_KEY_VARIABLE]
    monkeypatch.setenv(WEBHOOK_VARIABLE, "https://alerts.example.org")
    told = NOBODY | {"mail_to": ["a@example.org"], "mail_from": "b@example.org"}
    assert list_idle_settings(AlertsParams.model_validate(told)) == []


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    path.write_text("#!/bin/sh\n", encoding="ascii")
    for word in (str(path), "no-such-program"):
        with pytest.raises(InputError, match=rf"^params\.yaml: alerts\.command: there is no program {word} here"):
            CommandChannel([word]).check()
    path.chmod(0o700)
    CommandChannel([str(path)]).check()


def test_channels_are_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_channels(AlertsParams.model_validate(NOBODY)) == []
    monkeypatch.setenv(WEBHOOK_VARIABLE, "https://alerts.example.org")
    everybody = NOBODY | {"mail_to": ["a@example.org"], "mail_from": "b@example.org", "command": ["notify", "-x"]}
    channels = list_channels(AlertsParams.model_validate(everybody))
    assert [channel.describe() for channel in channels] == [
        "e-mail to a@example.org",
        "webhook https://alerts.example.org",
        "command notify",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mail_to": ["a@example.org"]}, "mail_to and mail_from go together"),
        ({"mail_from": "a@example.org"}, "mail_to and mail_from go together"),
        ({"mail_to": ["a@example.org\nBcc: b@example.org"], "mail_from": "c@example.org"}, "mail_to"),
        ({"mute": ["wave-perked"]}, "mute"),
        ({"silent_hours": 0}, "silent_hours"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AlertsParams.model_validate(NOBODY | change)
