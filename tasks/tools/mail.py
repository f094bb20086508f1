"""Tells a message by e-mail, through the SMTP server that the environment names (RFC 5321; TLS as RFC 8314 has it)."""

import os
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from urllib.parse import unquote, urlsplit

from amun.core.errors import AmunError, InputError, join_lines
from tasks.tools.message import Message, PartlyTakenError, read_bound
from tasks.tools.secret_files import read_secret

SMTP_VARIABLE = "AMUN_ALERT_SMTP"
SMTP_PASSWORD_VARIABLE = "AMUN_ALERT_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
PORTS = {"smtps": 465, "smtp+starttls": 587, "smtp": 25}


@dataclass(frozen=True)
class MailServer:
    """An SMTP server.

    Attributes:
        scheme: smtps (TLS from the first byte), smtp+starttls (TLS before anything is said), or smtp (none).
        host: its name.
        port: its port.
        user: who logs in; empty where nobody does.
    """

    scheme: str
    host: str
    port: int
    user: str


@dataclass(frozen=True)
class MailChannel:
    """E-mail to these people."""

    sender: str
    recipients: Sequence[str]
    name: str = "e-mail"

    def describe(self) -> str:
        """Returns who is told."""
        return f"{self.name} to {', '.join(self.recipients)}"

    def check(self) -> None:
        """Refuses a server that nothing can be sent through; raises as `find_server`, nothing is sent."""
        if find_server().user:
            read_secret(SMTP_PASSWORD_VARIABLE)

    def send(self, message: Message) -> str:
        """Sends the message, and returns what the server is.

        Raises:
            InputError: the environment names no server, or no password for its user.
            PartlyTakenError: the server has taken the message, but not for everybody.
            AmunError: it takes it for nobody.
        """
        server = find_server()
        where = f"{server.host}:{server.port}"
        mail = _write_mail(message, self.sender, self.recipients)
        try:
            refused = _send(server, mail, self.sender, self.recipients)
        except smtplib.SMTPResponseException as error:
            said = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            raise AmunError(f"{where} says {error.smtp_code} {join_lines(said)}") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise AmunError(f"{where} refuses {', '.join(error.recipients)}") from None
        except UnicodeError:
            # its own words would quote the password
            raise AmunError(f"{where}: server, user and password have to be ASCII, and one of them is not") from None
        except (smtplib.SMTPException, OSError) as error:
            raise AmunError(f"{where}: {join_lines(error) or type(error).__name__}") from None
        if refused:
            raise PartlyTakenError(f"{where} refuses {', '.join(refused)}, and has taken it for the others")
        return where


def find_server() -> MailServer:
    """Returns the SMTP server that the environment names.

    Raises:
        InputError: it names none, or one that would get a password in clear.
    """
    example = "write smtps://USER@HOST, smtp+starttls://USER@HOST:587 or smtp://127.0.0.1:25"
    if not (address := os.environ.get(SMTP_VARIABLE)):
        raise InputError(f"{SMTP_VARIABLE}: not set, and alerts.mail_to asks for e-mail; {example}")
    try:
        parts = urlsplit(address)
        host, port, user = parts.hostname, parts.port, unquote(parts.username or "")
    except ValueError:
        raise InputError(f"{SMTP_VARIABLE}: no address of a server; {example}") from None
    if parts.scheme not in PORTS or not host:
        raise InputError(f"{SMTP_VARIABLE}: no address of a server; {example}")
    if parts.password:
        raise InputError(f"{SMTP_VARIABLE}: a password stands in it; {SMTP_PASSWORD_VARIABLE}=file:/PATH says it")
    if user and parts.scheme == "smtp":
        raise InputError(f"{SMTP_VARIABLE}: the password of {user} would be sent in clear; write smtp+starttls://")
    return MailServer(parts.scheme, host, port or PORTS[parts.scheme], user)


def _write_mail(message: Message, sender: str, recipients: Sequence[str]) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["Date"] = format_datetime(message.sent_at)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    # nobody's notice of absence answers it (RFC 3834)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.to_text())
    return mail


def _send(
    server: MailServer, mail: EmailMessage, sender: str, recipients: Sequence[str]
) -> dict[str, tuple[int, bytes]]:
    """Returns whom the server has refused, if it has taken the message for somebody else."""
    context, timeout = ssl.create_default_context(), read_bound()
    if server.scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=timeout, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=timeout)
    with closing(connection):
        if server.scheme == "smtp+starttls":
            connection.starttls(context=context)
        if server.user:
            connection.login(server.user, read_secret(SMTP_PASSWORD_VARIABLE))
        refused = connection.send_message(mail, sender, recipients)
        # it has the message now, whatever it says to this: what came of that is not waited for
        with suppress(smtplib.SMTPException, OSError):
            connection.putcmd("quit")
        return refused
