"""Answers, pairs, ratings and win rates, without a browser."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import scipy.stats

from flantune.errors import EvaluationError, SourceError
from flantune.judging.answers import (
    Answer,
    LineWriter,
    OpenPrompt,
    missing_answers,
    read_answers,
    read_prompts,
)
from flantune.judging.comparisons import comparisons
from flantune.judging.page import render_summary_page
from flantune.judging.ratings import Desk, Rating, read_ratings
from flantune.judging.summary import summarize

from .conftest import HOSTILE


def many(prompts=40, models=("a", "b")):
    return [
        Answer(id=str(at), prompt=f"p{at}", model=model, answer=f"{model} on {at}")
        for at in range(prompts)
        for model in models
    ]


def rated(pairs, verdict, rater=""):
    """Ratings by a function of prompt number to "a", "b", "tie" or "skip"."""
    found = []
    for pair in pairs:
        said = verdict(int(pair.left.id))
        choice = said if said in ("tie", "skip") else ("left" if pair.left.model == said else "right")
        found.append(
            Rating(
                comparison=pair.key, prompt=pair.left.id, left=pair.left.model, right=pair.right.model, choice=choice,
                rater=rater,
            )
        )  # fmt: skip
    return found


class TestPrompts:
    def test_a_text_file_has_one_a_line(self, tmp_path):
        path = tmp_path / "p.txt"
        path.write_text("\ufeffOne?\r\n\n  Two?\n", encoding="utf-8")
        assert read_prompts(path) == (OpenPrompt(id="1", text="One?"), OpenPrompt(id="3", text="  Two?"))

    def test_json_lines(self, tmp_path):
        path = tmp_path / "p.jsonl"
        path.write_text('{"prompt": "One\\ntwo", "id": "x"}\n"Three"\n{"instruction": "Four"}\n', encoding="utf-8")
        assert read_prompts(path) == (
            OpenPrompt(id="x", text="One\ntwo"), OpenPrompt(id="2", text="Three"), OpenPrompt(id="3", text="Four"),
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "holds no prompt"),
            ("{}", "holds no prompt"),
            ("{", "not JSON"),
            ('"a"\n{"prompt": "b", "id": 1}', "id"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, content, message):
        path = tmp_path / "p.jsonl"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(SourceError, match=message):
            read_prompts(path)


class TestAnswers:
    def test_a_line_cut_off_by_a_crash_is_passed_over_and_then_replaced(self, answers_file):
        whole = answers_file.read_bytes()
        answers_file.write_bytes(whole + b'{"id": "4", "prompt": "x", "mo')
        assert len(read_answers(answers_file)) == 6
        with LineWriter(answers_file) as lines:
            lines.add({"id": "4", "prompt": "x", "model": "base", "answer": "y"})
        assert answers_file.read_bytes().startswith(whole)
        assert len(read_answers(answers_file)) == 7

    def test_a_whole_last_line_without_line_break_is_kept(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"prompt": "p", "model": "a", "answer": "x"}', encoding="utf-8")
        with LineWriter(path) as lines:
            lines.add({"prompt": "p", "model": "b", "answer": "y"})
        assert [answer.model for answer in read_answers(path)] == ["a", "b"]

    @pytest.mark.parametrize(
        "line", ['{"prompt": "p", "model": "a"}\n', "[]\n", '{"prompt": "p", "model": "a", "answer": 3}\n', "{\n"]
    )
    def test_a_line_that_is_no_answer_is_an_error(self, tmp_path, line):
        path = tmp_path / "a.jsonl"
        path.write_text(line, encoding="utf-8")
        with pytest.raises(SourceError, match=r"a\.jsonl:1"):
            read_answers(path)

    def test_answers_written_in_another_way_are_not_mixed(self):
        given = [Answer(id="1", prompt="p", model="m", answer="x", settings="s")]
        prompts = [OpenPrompt(id="1", text="p"), OpenPrompt(id="2", text="q")]
        assert missing_answers(prompts, given, model="m", settings="s") == prompts[1:]
        assert missing_answers(prompts, given, model="other", settings="s") == prompts
        with pytest.raises(EvaluationError, match="other settings"):
            missing_answers(prompts, given, model="m", settings="t")
        with pytest.raises(EvaluationError, match="another prompt"):
            missing_answers([OpenPrompt(id="1", text="changed")], given, model="m", settings="s")


class TestComparisons:
    def test_sides_and_order_are_random_by_seed(self):
        pairs = comparisons(many(200), seed=0)
        lefts = Counter(pair.left.model for pair in pairs)
        assert 70 < lefts["a"] < 130
        assert [pair.left.id for pair in pairs] != [str(at) for at in range(200)]
        assert comparisons(many(200), seed=0) == pairs
        other = {pair.key: pair.left.model for pair in comparisons(many(200), seed=1)}
        assert 60 < sum(other[pair.key] != pair.left.model for pair in pairs) < 140

    def test_one_prompt_more_leaves_the_others_as_they_were(self):
        few = {pair.key: pair.left.model for pair in comparisons(many(30), seed=4)}
        more = comparisons(many(31), seed=4)
        assert {pair.key: pair.left.model for pair in more if pair.key in few} == few
        assert [pair.key for pair in more if pair.key in few] == [pair.key for pair in comparisons(many(30), seed=4)]

    def test_three_models_make_three_pairs_a_prompt(self):
        pairs = comparisons(many(5, models=("a", "b", "c")), seed=0)
        assert len(pairs) == len({pair.key for pair in pairs}) == 15

    def test_a_changed_answer_is_a_new_comparison(self):
        old, new = (
            comparisons([*many(1)[:1], Answer(id="0", prompt="p0", model="b", answer=text)], seed=0) for text in "xy"
        )
        assert old[0].key != new[0].key

    def test_answers_to_other_words_under_one_name_are_not_compared(self):
        changed = [Answer(id="0", prompt="p0, reworded", model="c", answer="x")]
        pairs = comparisons([*many(2), *changed], seed=0)
        assert {frozenset((pair.left.model, pair.right.model)) for pair in pairs} == {frozenset("ab")}
        with pytest.raises(EvaluationError, match="two models"):
            comparisons([*many(1)[:1], *changed], seed=0)

    def test_one_model_cannot_be_compared(self):
        with pytest.raises(EvaluationError, match="two models"):
            comparisons(many(3, models=("a",)), seed=0)


class TestDesk:
    def test_a_rating_is_on_disk_at_once_and_is_found_again(self, tmp_path, answers_file):
        pairs = comparisons(read_answers(answers_file), seed=0)
        path = tmp_path / "r.jsonl"
        desk = Desk(pairs, path)
        assert (desk.same, len(desk.pairs), desk.first_open()) == (1, 2, 0)
        desk.rate(0, "left", seconds=1.26)
        # Not closed: a killed process leaves just this.
        [line] = path.read_text(encoding="utf-8").splitlines()
        stored = json.loads(line)
        assert (stored["choice"], stored["seconds"], stored["left"]) == ("left", 1.3, desk.pairs[0].left.model)
        again = Desk(pairs, path)
        assert (again.done, again.first_open(), again.choice(0)) == (1, 1, "left")
        again.rate(0, "tie", seconds=1)
        assert [rating.choice for rating in read_ratings(path)] == ["tie"]
        assert len(path.read_text(encoding="utf-8").splitlines()) == 2, "what was said before stays on record"
        assert Desk(pairs, path, rater="another").done == 0
        again.rate(1, "skip", seconds=1)
        assert again.first_open() == 2

    def test_a_torn_rating_is_rated_again(self, tmp_path, answers_file):
        pairs = comparisons(read_answers(answers_file), seed=0)
        path = tmp_path / "r.jsonl"
        Desk(pairs, path).rate(0, "left", seconds=1)
        with path.open("a", encoding="utf-8") as handle:
            handle.write('{"comparison": "')
        desk = Desk(pairs, path)
        assert desk.done == 1
        desk.rate(1, "right", seconds=1)
        assert [rating.choice for rating in read_ratings(path)] == ["left", "right"]

    def test_another_file_is_not_taken_for_ratings(self, answers_file):
        with pytest.raises(SourceError, match=r"answers\.jsonl:1: is no rating"):
            read_ratings(answers_file)


class TestSummary:
    def test_counts_ties_as_half(self):
        pairs = comparisons(many(10), seed=0)
        verdict = lambda at: "a" if at < 6 else "b" if at < 8 else "tie" if at < 9 else "skip"  # noqa: E731
        [found] = summarize(pairs, rated(pairs, verdict)).pairs
        assert (found.model, found.against) == ("a", "b")
        assert (found.wins, found.losses, found.ties, found.skipped, found.prompts) == (6, 2, 1, 1, 9)
        assert found.win_rate == pytest.approx(6.5 / 9)
        assert found.p_value == pytest.approx(0.2890625), "sign test of 6 against 2"
        assert found.interval.low < found.win_rate < found.interval.high
        assert found.bootstrap.low < found.win_rate < found.bootstrap.high
        assert found.q == found.p_value, "a single pair"
        assert found.detectable > abs(found.win_rate - 0.5), "what was not found was hardly to be seen"

    def test_rates_are_adjusted_for_looking_at_all_pairs(self):
        rows = [
            Answer(id=str(at), prompt=str(at), model=model, answer=f"{model} {at}")
            for at in range(20)
            for model in ("a", "b", "c")
        ]
        pairs = comparisons(rows, seed=0)
        ratings = [
            Rating(
                comparison=one.key, prompt=one.left.id, left=one.left.model, right=one.right.model,
                choice="left" if (one.left.model < one.right.model) == (int(one.left.id) % 5 > 0) else "right",
            )
            for one in pairs
        ]  # fmt: skip
        found = summarize(pairs, ratings).pairs
        expected = scipy.stats.false_discovery_control([pair.p_value for pair in found])
        assert len(found) == 3 and [pair.q for pair in found] == pytest.approx(expected)

    def test_turned_sides_do_not_turn_the_outcome(self):
        for seed in range(3):
            pairs = comparisons(many(30), seed=seed)
            [found] = summarize(pairs, rated(pairs, lambda at: "b" if at % 3 else "a")).pairs
            assert (found.model, found.wins, found.losses) == ("b", 20, 10)

    def test_equal_answers_are_ties_nobody_was_shown(self, answers_file):
        pairs = comparisons(read_answers(answers_file), seed=0)
        summary = summarize(pairs, ())
        assert (summary.rated, summary.total, summary.pairs[0].same, summary.pairs[0].win_rate) == (0, 2, 1, 0.5)

    def test_several_raters_of_a_prompt_are_one_observation(self):
        pairs = comparisons(many(12), seed=0)
        one = rated(pairs, lambda at: "a" if at < 9 else "b", rater="x")
        two = rated(pairs, lambda at: "a" if at < 9 else "tie", rater="y")
        summary = summarize(pairs, [*one, *two])
        [found] = summary.pairs
        assert (found.prompts, found.wins, found.ties, found.losses) == (12, 18, 3, 3)
        assert found.win_rate == pytest.approx((9 + 3 * 0.25) / 12)
        assert (summary.raters, summary.agreement, summary.rated) == (("x", "y"), 0.75, 12)

    def test_raters_whose_shares_do_not_quite_add_up_to_a_half_make_equals(self):
        won = (4, 1, 6, 5, 5, 4, 5, 4, 5, 3, 4, 3, 1, 0, 5, 4, 1, 1, 3, 2, 0, 0)
        assert sum(won) * 2 == 6 * len(won)
        pairs = comparisons(many(len(won)), seed=0)
        ratings = [
            one
            for rater in range(6)
            for one in rated(pairs, lambda at, rater=rater: "a" if rater < won[at] else "b", rater=str(rater))
        ]
        [found] = summarize(pairs, ratings).pairs
        assert (found.model, found.verdict, found.wins, found.losses) == ("a", "undecided", 66, 66)
        assert found.win_rate == pytest.approx(0.5)

    def test_a_rater_who_only_looks_at_the_side_is_visible(self):
        pairs = comparisons(many(60), seed=0)
        always_left = [
            Rating(
                comparison=pair.key, prompt=pair.left.id, left=pair.left.model, right=pair.right.model, choice="left"
            )
            for pair in pairs
        ]
        summary = summarize(pairs, always_left)
        assert summary.left_share == 1.0
        assert summary.pairs[0].interval.low < 0.5 < summary.pairs[0].interval.high

    def test_the_interval_covers_its_level(self, monkeypatch):
        monkeypatch.setattr("flantune.judging.summary.REPLICATES", 2)
        rng = np.random.default_rng(0)
        hits = 0
        for _ in range(200):
            pairs = comparisons(many(40), seed=0)
            won = rng.random(40) < 0.7
            [found] = summarize(pairs, rated(pairs, lambda at, won=won: "a" if won[at] else "b")).pairs
            hits += found.interval.low <= 0.7 <= found.interval.high
        assert hits / 200 >= 0.92

    def test_nothing_rated_is_an_error(self):
        with pytest.raises(EvaluationError, match="no rating"):
            summarize(comparisons(many(3), seed=0), ())

    def test_the_page_shows_text_as_text(self):
        models = ("a", HOSTILE)
        pairs = comparisons(many(4, models=models), seed=0)
        page = render_summary_page(summarize(pairs, rated(pairs, lambda at: "a")), title=HOSTILE)
        assert "<img" not in page
        assert page.count("<script>") == 1
        assert "Undecided" in page, "four wins are not enough"
