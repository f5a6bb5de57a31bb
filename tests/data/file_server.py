"""A small HTTP server on this machine that can misbehave in the ways real ones do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """What the server has, how it behaves, and what it was asked."""

    content: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    ranges: bool = True
    etag: str | None = '"1"'
    length: bool = True
    cut_at: list[int] = field(default_factory=list)  # the next answers end after so many bytes
    failures: list[int] = field(default_factory=list)  # the next answers are these codes
    redirect: str | None = None
    lie_about_range: bool = False
    slow: float = 0.0  # seconds between chunks of 64 KiB
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.failures:
            handler.send_error(self.failures.pop(0))
            return
        if self.redirect:
            handler.send_response(302)
            handler.send_header("Location", self.redirect)
            handler.end_headers()
            return
        data = self.content.get(handler.path)
        if data is None:
            handler.send_error(404)
            return
        start = 0
        same = handler.headers.get("If-Range") in (None, self.etag)
        if wanted and self.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(data)}")
                handler.end_headers()
                return
            handler.send_response(206)
            told = start + 1 if self.lie_about_range else start
            handler.send_header("Content-Range", f"bytes {told}-{len(data) - 1}/{len(data)}")
        else:
            handler.send_response(200)
        body = data[start:]
        if self.etag:
            handler.send_header("ETag", self.etag)
        if self.length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.cut_at:
            body = body[: self.cut_at.pop(0)]
        for at in range(0, len(body), 1 << 16):
            handler.wfile.write(body[at : at + (1 << 16)])
            if self.slow:
                handler.wfile.flush()
                time.sleep(self.slow)
        handler.close_connection = True


@contextmanager
def serving() -> Iterator[Files]:
    """A running server; its `Files` may be changed while it runs."""
    files = Files()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                files.serve(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    files.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
