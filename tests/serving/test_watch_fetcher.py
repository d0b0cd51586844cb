import gzip
import shutil
import socket
import ssl
import subprocess
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import pytest
from tenacity import wait_none
from tests.serving.local_site import Reply, Site, serve_site

from newswatch.watch import fetcher as fetching
from newswatch.watch.address import RefusedError, is_public
from newswatch.watch.fetcher import AGENT, ATTEMPTS, MAX_BYTES, Fetcher, FetchError, PausedError
from newswatch.watch.robots import Robots

__all__ = ["serve_site"]


@pytest.fixture(autouse=True)
def _no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_BACK_OFF", wait_none())


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(["127.0.0.1"], delay=0) as made:
        yield made


FORBIDDEN_HOSTS = [
    "127.0.0.1", "127.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "localhost",
    "0.0.0.0", "0", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "2852039166",
    "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.5", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]",
    "[ff02::1]", "[2001:db8::1]", "[2002:7f00:1::]", "[2002:a00:1::]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]",
    "[2001:0:7f00:1::]", "[100::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_address_that_is_not_public_is_refused(host: str, site: Site) -> None:
    with Fetcher(delay=0) as fetcher:
        with pytest.raises(RefusedError):
            fetcher.get(f"http://{host}:{site.port}/")
        with pytest.raises(RefusedError):
            fetcher.post(f"http://{host}:{site.port}/", b"{}", {})
    assert site.requests == []


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example"])
def test_host_that_is_no_name_is_refused(host: str, fetcher: Fetcher) -> None:
    with pytest.raises(RefusedError, match="a host's name"):
        fetcher.get(f"http://{host}/")


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1", "2002:101:101::"])
def test_public_address_is_not_refused(address: str) -> None:
    assert is_public(ip_address(address))


FORBIDDEN_URLS = [
    "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:70/_x", "data:text/plain,x", "javascript:alert(1)", "//127.0.0.1/",
    "http://", "http:///x", "http://user:secret@127.0.0.1/", "http://user@127.0.0.1/", "http://127.0.0.1:99999/", "http://127.0.0.1\x00.com/",
    "http://[::1/", "http://127.0.0.1/" + "x" * 3000, "", "unix:///run/docker.sock",
]  # fmt: skip


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_url_of_another_kind_is_refused(url: str, fetcher: Fetcher) -> None:
    with pytest.raises(RefusedError) as error:
        fetcher.get(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/hit", "http://[::ffff:127.0.0.1]:{port}/hit", "http://2130706433:{port}/hit", "http://169.254.169.254/latest",
        "http://10.0.0.1/", "//0x7f.1:{port}/hit", "file:///etc/passwd", "ftp://127.0.0.1/", "http://a:b@127.0.0.1:{port}/hit",
    ],
)  # fmt: skip
def test_redirect_from_allowed_to_forbidden_is_refused(target: str, fetcher: Fetcher, site: Site) -> None:
    site.answers["/go"] = Reply(status=302, headers={"Location": target.format(port=site.port)})
    with pytest.raises(RefusedError):
        fetcher.get(f"{site.url}/go")
    assert site.paths() == ["/go"]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names resolve to these addresses, one answer a look-up, the last for ever; returns what is looked up."""
    asked: list[str] = []

    def answer(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        given = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in given]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["fe80::1%eth0"], ["::ffff:192.168.0.1"]])
def test_name_with_a_private_address_is_refused(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, addresses)
    with Fetcher(delay=0) as fetcher, pytest.raises(RefusedError, match=r"host news\.example at the address"):
        fetcher.get("https://news.example/")


def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolve_to(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    connected = []

    def connect(_: object, host: str, *__: Any, **___: Any) -> None:
        connected.append((host, len(asked)))
        raise httpcore.ConnectError("no network here")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with Fetcher(delay=0) as fetcher, pytest.raises(RefusedError, match=r"127\.0\.0\.1"):
        fetcher.get("http://rebinding.example/")
    assert connected == [("93.184.216.34", 1)]
    assert asked == ["rebinding.example"] * 2


def test_host_allowed_by_name_is_reached(site: Site) -> None:
    site.answers["/"] = Reply("fine")
    with Fetcher(["LOCALHOST"], delay=0) as fetcher:
        assert fetcher.get(f"http://localhost:{site.port}/").body == b"fine"
    assert site.requests[0].headers["host"] == f"localhost:{site.port}"
    assert site.requests[0].headers["user-agent"] == AGENT


def test_environment_gives_no_proxy(site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.answers["/"] = Reply("fine")
    assert fetcher.get(site.url).body == b"fine"


def test_cookies_are_not_kept(site: Site, fetcher: Fetcher) -> None:
    site.answers["/"] = Reply("fine", headers={"Set-Cookie": "a=b; Path=/"})
    fetcher.get(site.url)
    fetcher.get(site.url)
    assert [("cookie" in r.headers, "authorization" in r.headers) for r in site.requests] == [(False, False)] * 2


def test_redirects_are_followed_to_a_limit(site: Site, fetcher: Fetcher) -> None:
    site.answers["/a"] = Reply(status=301, headers={"Location": "b"})
    site.answers["/b"] = Reply("there")
    site.answers["/loop"] = Reply(status=302, headers={"Location": "/loop"})
    assert fetcher.get(f"{site.url}/a").url == f"{site.url}/b"
    with pytest.raises(FetchError, match="redirects") as error:
        fetcher.get(f"{site.url}/loop")
    assert not error.value.transient
    assert site.paths().count("/loop") == 6


def test_webhook_is_not_redirected(site: Site, fetcher: Fetcher) -> None:
    site.answers["/hook"] = Reply(status=307, headers={"Location": "/other"})
    with pytest.raises(FetchError, match="redirect"):
        fetcher.post(f"{site.url}/hook", b"{}", {})
    assert site.paths("POST") == ["/hook"]


@pytest.mark.parametrize(("packing", "encoding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (bytes, "identity")])
def test_body_is_unpacked(packing: Any, encoding: str, site: Site, fetcher: Fetcher) -> None:
    text = b"word " * 10_000
    site.answers["/"] = Reply(packing(text), headers={"Content-Encoding": encoding})
    assert fetcher.get(site.url).body == text


@pytest.mark.parametrize("size", [MAX_BYTES, MAX_BYTES + 1])
def test_size_limit_is_exact(size: int, site: Site, fetcher: Fetcher) -> None:
    site.answers["/"] = Reply(gzip.compress(bytes(size), 1), headers={"Content-Encoding": "gzip"})
    if size <= MAX_BYTES:
        assert len(fetcher.get(site.url).body) == size
    else:
        with pytest.raises(FetchError, match="more than 5,000,000 bytes") as error:
            fetcher.get(site.url)
        assert not error.value.transient


def test_packed_bomb_takes_little_memory(site: Site, fetcher: Fetcher) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    site.answers["/"] = Reply(bomb, headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="more than"):
            fetcher.get(site.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def dripping_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(1000):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(30)


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"x")


def test_endless_answer_is_cut_at_the_limit(site: Site, fetcher: Fetcher) -> None:
    site.answers["/"] = endless
    with pytest.raises(FetchError, match="more than"):
        fetcher.get(site.url)


@pytest.mark.parametrize("slow", [dripping, dripping_headers, silent])
def test_slow_answer_ends_in_time(slow: Any, site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_SECONDS", 0.4)
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    site.answers["/"] = slow
    started = time.monotonic()
    with pytest.raises(FetchError) as error:
        fetcher.get(site.url)
    assert error.value.transient
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("broken", [cut, Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), Reply(status=500), Reply(status=503)])
def test_what_may_pass_is_tried_again(broken: Any, site: Site, fetcher: Fetcher) -> None:
    site.answers["/"] = broken
    with pytest.raises(FetchError) as error:
        fetcher.get(site.url)
    assert error.value.transient
    assert len(site.requests) == ATTEMPTS
    site.answers["/"] = Reply("well again")
    assert fetcher.get(site.url).body == b"well again"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_stays_wrong_is_not_tried_again(status: int, site: Site, fetcher: Fetcher) -> None:
    site.answers["/"] = Reply(status=status)
    with pytest.raises(FetchError) as error:
        fetcher.get(site.url)
    assert not error.value.transient
    assert len(site.requests) == 1


def test_retry_after_is_waited_for(site: Site, fetcher: Fetcher) -> None:
    times = []

    def busy_once(_: BaseHTTPRequestHandler) -> Reply:
        times.append(time.monotonic())
        return Reply(status=503, headers={"Retry-After": "1"}) if len(times) == 1 else Reply("ready")

    site.answers["/"] = busy_once
    assert fetcher.get(site.url).body == b"ready"
    assert times[1] - times[0] >= 1


def in_an_hour() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize("asked", ["3600", "date"])
def test_host_that_asks_for_an_hour_is_left_alone(asked: str, site: Site, fetcher: Fetcher) -> None:
    site.answers["/"] = Reply(status=429, headers={"Retry-After": in_an_hour() if asked == "date" else asked})
    with pytest.raises(FetchError) as error:
        fetcher.get(site.url)
    assert error.value.retry_after == pytest.approx(3600, abs=60)
    with pytest.raises(PausedError):
        fetcher.get(f"{site.url}/other")
    assert site.paths() == ["/"]


def test_retry_after_of_no_calendar_is_passed_over(site: Site, fetcher: Fetcher) -> None:
    site.answers["/"] = Reply(status=503, headers={"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"})
    with pytest.raises(FetchError) as error:
        fetcher.get(site.url)
    assert (error.value.transient, error.value.retry_after) == (True, None)


def test_requests_to_one_host_keep_their_distance(site: Site) -> None:
    site.answers["/"] = Reply("x")
    with Fetcher(["127.0.0.1"], delay=0.3) as fetcher:
        started = time.monotonic()
        for _ in range(3):
            fetcher.get(site.url)
        assert time.monotonic() - started >= 0.6


def test_robots_file_is_obeyed_at_each_hop(site: Site, fetcher: Fetcher) -> None:
    site.answers["/robots.txt"] = Reply("User-agent: newswatch\nDisallow: /private\nCrawl-delay: 0.5\n\nUser-agent: *\nDisallow: /")
    site.answers["/open"] = Reply("fine")
    site.answers["/go"] = Reply(status=302, headers={"Location": "/private/x"})
    robots = Robots(fetcher)
    assert fetcher.get(f"{site.url}/open", permit=robots.permit).body == b"fine"
    for path in ("/private/y", "/go"):
        with pytest.raises(RefusedError, match=r"forbidden by robots\.txt"):
            fetcher.get(f"{site.url}{path}", permit=robots.permit)
    assert site.paths() == ["/robots.txt", "/open", "/go"]


def test_robots_file_is_obeyed_but_for_what_cannot_be_read(site: Site, fetcher: Fetcher) -> None:
    site.answers["/robots.txt"] = Reply("\ufeffUser-agent: *\nDisallow: //[\nCrawl-delay: \u00b2\nDisallow: /private".encode())
    site.answers["/open"] = Reply("fine")
    robots = Robots(fetcher)
    assert fetcher.get(f"{site.url}/open", permit=robots.permit).body == b"fine"
    with pytest.raises(RefusedError, match=r"forbidden by robots\.txt"):
        fetcher.get(f"{site.url}/private/y", permit=robots.permit)


@pytest.mark.parametrize(("status", "transient"), [(404, None), (500, True)])
def test_robots_file_that_is_missing_or_fails(status: int, transient: bool | None, site: Site, fetcher: Fetcher) -> None:
    site.answers["/robots.txt"] = Reply(status=status)
    site.answers["/a"] = Reply("fine")
    robots = Robots(fetcher)
    if transient:
        with pytest.raises(FetchError) as error:
            fetcher.get(f"{site.url}/a", permit=robots.permit)
        assert error.value.transient
        assert site.paths() == ["/robots.txt"] * ATTEMPTS  # and not as often for each try of the page
    else:
        assert fetcher.get(f"{site.url}/a", permit=robots.permit).body == b"fine"


def test_certificate_is_checked_against_the_name(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    subprocess.run([openssl, *made, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    secure = Site(context)
    secure.answers["/"] = Reply("sealed")
    try:
        with Fetcher(["localhost"], delay=0) as fetcher, pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
            fetcher.get(f"https://localhost:{secure.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        with Fetcher(["localhost", "127.0.0.1"], delay=0) as fetcher:
            assert fetcher.get(f"https://localhost:{secure.port}/").body == b"sealed"
            with pytest.raises(FetchError, match="IP address mismatch"):
                fetcher.get(f"https://127.0.0.1:{secure.port}/")
    finally:
        secure.close()
