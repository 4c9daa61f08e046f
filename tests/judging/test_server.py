"""The page's server: who may talk to it, and what it tells."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from urllib.parse import urlsplit

import pytest

from flantune.errors import EvaluationError
from flantune.judging.answers import read_answers
from flantune.judging.comparisons import comparisons
from flantune.judging.ratings import Desk, read_ratings
from flantune.judging.server import JudgingServer


@pytest.fixture
def ratings(tmp_path):
    return tmp_path / "ratings.jsonl"


@pytest.fixture
def server(answers_file, ratings):
    served = JudgingServer(Desk(comparisons(read_answers(answers_file), seed=0), ratings), title="t")
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    yield served
    served.stop()
    thread.join()
    served.close()


def ask(server, place, body=None, *, path=None, **headers):
    url = urlsplit(server.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named.setdefault("Content-Type", "application/json")
    connection.request("GET" if body is None else "POST", path or url.path + place, body, named)
    reply = connection.getresponse()
    text = reply.read().decode("utf-8")
    connection.close()
    return reply, text


def rating(pair, choice="left", **changes):
    return json.dumps({"at": pair["at"], "key": pair["key"], "choice": choice, "seconds": 2.0} | changes)


def test_rates_to_the_end(server, ratings):
    _, text = ask(server, "pair")
    pair = json.loads(text)
    assert (pair["at"], pair["total"], pair["done"]) == (0, 2, 0)
    _, text = ask(server, "rate", rating(pair, "tie"))
    assert [one.choice for one in read_ratings(ratings)] == ["tie"], "on disk before the next pair is shown"
    following = json.loads(text)
    assert (following["at"], following["done"]) == (1, 1)
    _, text = ask(server, "rate", rating(following, "right"))
    assert json.loads(text) == {"at": 2, "total": 2, "done": 2, "is_end": True}
    assert json.loads(ask(server, "pair/0")[1])["choice"] == "tie"


def test_no_name_of_a_model_leaves_the_process(server):
    for place in ("", "pair", "pair/1"):
        reply, text = ask(server, place)
        assert reply.status == 200
        assert (
            "tuned"
            not in text.replace("--tuned", "").replace(".tuned", "").replace("tuned-", "").lower().split("body")[-1]
        )
        assert '"base"' not in text
    assert set(json.loads(ask(server, "pair")[1])) == {
        "at", "total", "done", "is_end", "prompt", "left", "right", "key", "choice",
    }  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        {"path": "/"}, {"path": "/pair"}, {"path": "/wrong/pair"}, {"place": "etc/passwd"}, {"place": "pair/9"},
        {"place": "pair/-1"}, {"Host": "evil.example:80"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
    ],
)  # fmt: skip
def test_strangers_get_nothing(server, asked):
    reply, text = ask(server, asked.pop("place", "pair"), **asked)
    assert (reply.status, text) == (404, "not here")


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "{}", "null", '{"at": 0}', "x" * 20_000],
)
def test_what_is_no_rating_is_refused(server, ratings, body):
    reply, _ = ask(server, "rate", body)
    assert reply.status == 400
    assert read_ratings(ratings) == ()


def test_a_rating_of_a_pair_that_is_not_shown_is_refused(server, ratings):
    pair = json.loads(ask(server, "pair")[1])
    for wrong in ({"key": "0"}, {"choice": "both"}, {"at": True}, {"at": -1}, {"at": 7}, {"seconds": "x"}):
        assert ask(server, "rate", rating(pair, **wrong))[0].status == 400
    assert ask(server, "rate", rating(pair), Content_Type="text/plain")[0].status == 404, "a form of another page"
    assert read_ratings(ratings) == ()


def test_the_page_may_load_nothing_from_elsewhere(server):
    reply, text = ask(server, "")
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "http" not in policy
    assert "src=" not in text
    assert reply.headers["Cache-Control"] == "no-store"


def test_listens_on_this_machine_only(server):
    assert urlsplit(server.url).hostname == "127.0.0.1"
    assert len(server.token) >= 32


def test_a_port_in_use_is_an_error(server, answers_file, tmp_path):
    desk = Desk(comparisons(read_answers(answers_file), seed=0), tmp_path / "other.jsonl")
    with pytest.raises(EvaluationError, match="port cannot be used"):
        JudgingServer(desk, title="t", port=urlsplit(server.url).port)


def raw(server, request: bytes) -> bytes:
    """What the server sends back to bytes that no client of good manners would send."""
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


DEEP = "[" * 9_000


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        '{"at": 0, "key": ' + DEEP,
        '{"a":' * 1_900,
        "[]",
        "null",
        '{"at": 0}',
        "\ud83d",
        b"\xff\xfe\x00",
        "9" * 9_000,
    ],
)
def test_a_body_that_is_no_rating_is_refused_without_a_traceback(server, ratings, capfd, body):
    given = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    assert ask(server, "rate", given)[0].status == 400
    assert capfd.readouterr() == ("", "") and read_ratings(ratings) == ()


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        ("1e999", 400), ("-1e999", 400), ("NaN", 400), ("Infinity", 400), ("1" + "0" * 400, 400), ("1e300", 400),
        ('"2"', 400), ("null", 400), ("[]", 400), ("true", 400),
        ("-3", 200), ("0", 200), ("604800", 200),
    ],
)  # fmt: skip
def test_times_that_nobody_looked_for_are_refused(server, ratings, capfd, seconds, status):
    pair = json.loads(ask(server, "pair")[1])
    body = rating(pair).replace('"seconds": 2.0', f'"seconds": {seconds}')
    assert seconds in body
    assert ask(server, "rate", body)[0].status == status
    assert capfd.readouterr() == ("", "")
    assert [one.seconds for one in read_ratings(ratings)] == ([max(0.0, float(seconds))] if status == 200 else [])


@pytest.mark.parametrize(
    "place", [b"pair/\xb2", b"pair/\xb9\xb3", b"pair/%FF", b"pair/" + b"9" * 5_000, b"\xff\xfe", b"pair/-1"]
)
def test_paths_that_are_no_number_are_not_here(server, capfd, place):
    url = urlsplit(server.url)
    head = f"GET {url.path}".encode() + place + f" HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode()
    assert raw(server, head).startswith(b"HTTP/1.1 404")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_without_a_traceback(server, capfd, request_bytes):
    raw(server, request_bytes)
    assert json.loads(ask(server, "pair")[1])["total"] == 2
    assert capfd.readouterr() == ("", "")


def test_a_browser_that_leaves_before_it_is_answered_is_not_told_of(server, capfd):
    url = urlsplit(server.url)
    for _ in range(5):
        connection = socket.create_connection((url.hostname, url.port), timeout=10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        connection.close()
    assert json.loads(ask(server, "pair")[1])["total"] == 2
    assert "Traceback" not in capfd.readouterr().err
