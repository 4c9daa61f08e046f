"""A person's evening in a real browser: keys and clicks, and what is on disk after each."""

from __future__ import annotations

import base64
import json
import threading

import pytest

from flantune.judging.answers import read_answers
from flantune.judging.comparisons import comparisons
from flantune.judging.ratings import Desk, read_ratings
from flantune.judging.server import JudgingServer

from .conftest import HOSTILE
from .devtools import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed, so no page can be rated in")


@pytest.fixture
def served(tmp_path):
    rows = [
        {
            "id": str(at),
            "prompt": f"Question {at}? {HOSTILE}",
            "model": model,
            "answer": f"answer {at} by coin {coin} {HOSTILE}",
        }
        for at in range(5)
        for model, coin in (("base", 7), ("tuned", 8))
    ]
    rows[0]["answer"] = "  "
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    server = JudgingServer(Desk(comparisons(read_answers(path), seed=3), tmp_path / "ratings.jsonl"), title=HOSTILE)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server
    server.stop()
    thread.join()
    server.close()


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as opened:
        yield opened


def choices(server):
    return [rating.choice for rating in read_ratings(server.desk.path)]


def at_place(browser, number):
    browser.wait(f"document.getElementById('place').textContent === 'Comparison {number} of 5'")


def test_keys_and_clicks_land_on_disk_and_the_page_goes_on_after_a_restart(served, browser):
    browser.open(served.url)
    at_place(browser, 1)
    first = served.desk.pairs[0]
    assert browser.text("#prompt") == first.left.prompt
    assert browser.text("#left") == (first.left.answer if first.left.answer.strip() else "(no text)")

    browser.press("1")
    at_place(browser, 2)
    assert choices(served) == ["left"]
    browser.click('[data-choice="right"]')
    at_place(browser, 3)
    assert choices(served) == ["left", "right"]
    browser.press("t")
    at_place(browser, 4)
    browser.press("s")
    at_place(browser, 5)
    assert choices(served) == ["left", "right", "tie", "skip"]

    browser.press("b")
    at_place(browser, 4)
    assert browser.ask("document.querySelector('[data-choice=skip]').getAttribute('aria-pressed')") == "true"
    browser.press("2")
    at_place(browser, 5)
    assert choices(served) == ["left", "right", "tie", "right"], "the last word counts"

    browser.open(served.url)
    at_place(browser, 5)
    assert browser.text("#count") == "4 of 5 rated"
    browser.press("0")
    browser.wait("!document.getElementById('end').hidden")
    assert browser.ask("document.getElementById('pair').hidden") is True
    assert choices(served) == ["left", "right", "tie", "right", "tie"]
    assert browser.troubles() == []


def test_trap_14_hostile_text_stays_text(served, browser):
    browser.open(served.url)
    for number in range(1, 5):
        at_place(browser, number)
        assert browser.ask("document.querySelectorAll('img').length") == 0
        assert HOSTILE in browser.text("#prompt")
        browser.press("t")
    at_place(browser, 5)
    assert browser.ask("document.title") == f"{HOSTILE} – flantune judge"
    assert browser.troubles() == []


def test_when_the_server_is_gone_the_page_says_so(served, browser):
    browser.open(served.url)
    at_place(browser, 1)
    served.desk.close()
    browser.press("1")
    browser.wait("document.getElementById('status').textContent.includes('Nothing was stored')")
    assert browser.text("#place") == "Comparison 1 of 5"
    assert choices(served) == []


def test_light_and_dark(served, browser, tmp_path):
    browser.open(served.url)
    at_place(browser, 1)
    light = browser.ask("getComputedStyle(document.body).backgroundColor")
    browser.click("#scheme")
    assert browser.ask("getComputedStyle(document.body).backgroundColor") != light
    picture = base64.b64decode(browser.send("Page.captureScreenshot")["data"])
    assert len(picture) > 10_000
