"""A server for tests that ask one: it says the same to everybody."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread


@contextmanager
def serve(status: int, text: str = "") -> Iterator[int]:
    """Gives the port of a server that says the same to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode("ascii"))

        def log_message(self, *_: object) -> None:
            pass

    with run_server(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def run_server(server: HTTPServer) -> Iterator[int]:
    """Gives the port of a server that answers meanwhile."""
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
