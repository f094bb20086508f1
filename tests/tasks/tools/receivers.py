"""Who is told, in tests: a real SMTP server, a real web server, and one that begins to answer and never ends."""

import datetime
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.answering import run_server

USER, PASSWORD = "amun", "swordfish"


@dataclass
class Mailbox:
    """What an SMTP server has taken, whom it refuses, and how it answers QUIT."""

    refused: tuple[str, ...] = ()
    goodbye: str = "221 Bye"
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - called so
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: Any
    ) -> str:
        if address in self.refused:
            return "550 nobody here is called so"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 kept"

    async def handle_QUIT(self, _: SMTP, __: Session, ___: Envelope) -> str:  # noqa: N802
        return self.goodbye


def log_in(_: SMTP, __: Session, ___: Envelope, ____: str, said: Any) -> AuthResult:
    assert isinstance(said, LoginPassword)
    # not handled: the server itself says that it was wrong
    return AuthResult(success=(said.login, said.password) == (USER.encode(), PASSWORD.encode()), handled=False)


@contextmanager
def run_smtp(
    mailbox: Mailbox, certificate: tuple[Path, Path] | None = None, *, starts_tls: bool = False
) -> Iterator[int]:
    """Gives the port of an SMTP server on loopback; with a certificate it speaks TLS, and asks who logs in."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    options: dict[str, Any] = {}
    if context is not None:
        # it counts only STARTTLS as TLS
        options = {"authenticator": log_in, "auth_required": True, "auth_require_tls": starts_tls}
    if starts_tls:
        options |= {"tls_context": context, "require_starttls": True}
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=port, ssl_context=None if starts_tls else context, **options
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Returns a certificate of localhost that certifies itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public, private


@dataclass
class Posts:
    """What a web server was asked: method, path, headers and body of each.

    It answers with a status, or hangs up where that is 0; that a path is gone, of those that are. Something may be done
    before it answers.
    """

    status: int = 204
    gone: list[str] = field(default_factory=list)
    do_before: Callable[[], object] = bool
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def run_web(posts: Posts) -> Iterator[int]:
    """Gives the port of a web server on loopback that keeps what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            posts.asked.append(
                (self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            posts.do_before()
            if posts.status == 0:
                self.close_connection = True
                return
            self.send_response(410 if self.path in posts.gone else posts.status)
            if posts.status in (301, 302):
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with run_server(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def run_drip(said: bytes) -> Iterator[int]:
    """Gives the port of a server that says this, then a blank now and then: it is never silent, and never ends."""
    is_over = Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.sendall(said)
            while not is_over.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    def accept(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=accept, args=(server,), daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            server.shutdown(socket.SHUT_RDWR)
