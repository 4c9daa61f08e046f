"""The page's server: who may talk to it, and what it tells."""

from __future__ import annotations

import http.client
import json
import threading
from urllib.parse import urlsplit

import pytest
from tests.conftest import HUNG_AFTER_S

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
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=HUNG_AFTER_S)
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
