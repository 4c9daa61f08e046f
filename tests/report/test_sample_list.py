"""``flantune samples``: prompts chosen by what tuning did to the answer, as the page counts them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from flantune.cli.main import cli
from flantune.errors import EvaluationError
from flantune.report.sample_list import list_samples
from flantune.report.samples import asked_in_run, collect_samples
from flantune.runs.files import read_run


def asked(folder):
    return asked_in_run(read_run(folder))


def test_totals_are_those_of_the_page(run_folder):
    found = list_samples(asked(run_folder))
    groups = collect_samples(asked(run_folder), root=run_folder.resolve()).groups
    assert found.totals == {name: sum(one["totals"][name] for one in groups) for name in found.totals}
    assert len(found.samples) == 5 and list_samples(asked(run_folder)) == found


@pytest.mark.parametrize(("outcome", "right"), [("fixed", [False, True]), ("broken", [True, False])])
def test_only_what_is_asked_for(run_folder, outcome, right):
    found = list_samples(
        asked(run_folder), task="claim_pairs", template="ask_plain", shots=0, outcomes=[outcome], count=99
    )
    assert len(found.samples) == found.totals[outcome] > 0
    for one in found.samples:
        assert (one.task, one.template, one.shots, one.outcome) == ("claim_pairs", "ask_plain", 0, outcome)
        assert [answer.is_right for answer in one.answers] == right
        assert [answer.model for answer in one.answers] == ["base", "tuned"]
        assert one.right == (("yes", "no")[one.row % 2],)
        assert all(answer.read_as == answer.text in ("yes", "no") for answer in one.answers)


def test_written_answers_are_shown_as_they_are_and_as_they_were_read(run_folder):
    (one, *_) = list_samples(asked(run_folder), task="short_facts", outcomes=["right"]).samples
    assert one.right[0] == "the Nile" and one.answers[1].text == "The Nile."


def test_names_that_are_not_there_are_told(run_folder):
    with pytest.raises(EvaluationError, match='no samples of a task "claim_pair"') as caught:
        list_samples(asked(run_folder), task="claim_pair")
    assert 'did you mean "claim_pairs"' in caught.value.hint
    with pytest.raises(EvaluationError, match='no samples of a template "plain"'):
        list_samples(asked(run_folder), template="plain")


def test_the_command_prints_text_or_json(run_folder):
    shown = CliRunner().invoke(cli, ["samples", str(run_folder), "--task", "short_facts", "--count", "2"])
    assert shown.exit_code == 0, shown.output
    assert "short_facts, row" in shown.stdout and "right: the Nile" in shown.stdout and "2 shown of" in shown.stdout
    found = CliRunner().invoke(cli, ["samples", str(run_folder), "--outcome", "wrong", "--json"])
    assert {one["outcome"] for one in json.loads(found.stdout)["samples"]} == {"wrong"}
