"""A site of one's own: a real HTTP server on the loopback address, whose answers a test sets."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

import pytest


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Reply | Callable[[BaseHTTPRequestHandler], Reply | None]


class Site:
    """`answers` holds a reply, or a function that makes or writes one, by path; what has none is answered with 404."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answering] = {}
        self.requests: list[Request] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                site.requests.append(Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answer = site.answers.get(self.path, Reply(status=404))
                reply = answer if isinstance(answer, Reply) else answer(self)
                if reply is not None:
                    content = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Clients that hang up are part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def paths(self, method: str = "GET") -> list[str]:
        return [request.path for request in self.requests if request.method == method]

    def publish(self, path: str, articles: Mapping[str, tuple[str, str]], **headers: str) -> None:
        """A feed at `path` of articles by their paths, as title and text, the newest last as given, and a page for each."""
        items = "".join(
            f"<item><title>{escape(title)}</title><link>{self.url}{page}</link><description>{escape(title)} teaser</description></item>"
            for page, (title, _) in reversed(list(articles.items()))
        )
        feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>Site</title>{items}</channel></rss>'
        reply = Reply(feed, headers={"Content-Type": "application/rss+xml", **headers})
        same = headers.get("ETag", "none")
        self.answers[path] = lambda request: Reply(status=304) if request.headers["If-None-Match"] == same else reply
        for page, (title, text) in articles.items():
            paragraphs = "".join(f"<p>{escape(line)}</p>" for line in text.split("\n"))
            self.answers[page] = Reply(
                f"<html><head><title>{escape(title)}</title></head><body><nav><a href='/'>Home</a></nav>"
                f"<article><h1>{escape(title)}</h1>{paragraphs}</article></body></html>",
                headers={"Content-Type": "text/html; charset=utf-8"},
            )


@pytest.fixture(name="site")
def serve_site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()
