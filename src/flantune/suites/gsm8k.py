"""GSM8K: grade-school mathematics, eight shots with rationales. Paper: Cobbe et al. 2021; Wei et al. 2022."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flantune.contamination.training_record import Measured
from flantune.errors import MissingDataError
from flantune.evaluation.exams import Exam, MissingExam, Writing
from flantune.evaluation.metrics.extraction import EXEMPLAR_STOP, GSM8K_COT, plain_number
from flantune.evaluation.metrics.graders import text_grader
from flantune.evaluation.statistics.averages import by_group
from flantune.suites.suite import Exams, Suite, SuiteData, wanted, written_prompt
from flantune.system.keyed_random import shuffled, stream_key
from flantune.types import Exemplar, Prompt

if TYPE_CHECKING:
    from flantune.types import Row

HUB_ID = "openai/gsm8k"
SHOTS = 8
_CALCULATOR = re.compile(r"<<[^>]*>>")


def parts(data: SuiteData) -> Exams:
    """One part: all test problems after exemplars drawn from the training split by seed, the same for every problem.

    Raises:
        flantune.errors.SourceError: Data exists but cannot be read.
    """
    try:
        train, test = (data.rows(HUB_ID, "main", split=split) for split in ("train", "test"))
    except MissingDataError as error:
        yield MissingExam(score="gsm8k_cot", name="main", needs=f"{HUB_ID}, main: {wanted(error)}")
        return
    shots = SHOTS if data.shots is None else data.shots
    drawn = shuffled(len(train), key=stream_key(data.seed, "gsm8k"), limit=shots)
    exemplars = tuple(_exemplar(train[at], at) for at in drawn)
    yield Exam(
        score="gsm8k_cot",
        name="main",
        questions=data.asked((_prompt(row, at, exemplars) for at, row in enumerate(test)), shots=len(exemplars)),
        answering="text",
        grader=text_grader(GSM8K_COT),
        protocol=data.protocol,
        chance=0.0,
        writing=Writing(stop=EXEMPLAR_STOP, max_new_tokens=256),
        is_voted=True,
        made=Measured(hub=HUB_ID),
        notes=(f"exemplars drawn from the training split with seed {data.seed}",) if exemplars else (),
    )


def solution_of(row: Row) -> tuple[str, str]:
    r"""The rationale without annotations, and the final number.

    >>> solution_of({"answer": "2 * 3 = <<2*3=6>>6 eggs.\nHalf of 1,006 are 503.\n#### 1,503"})
    ('2 * 3 = 6 eggs. Half of 1,006 are 503.', '1503')
    """
    rationale, _, number = str(row["answer"]).rpartition("####")
    return " ".join(_CALCULATOR.sub("", rationale).split()), plain_number(number) or number.strip()


def _exemplar(row: Row, at: int) -> Exemplar:
    rationale, number = solution_of(row)
    return Exemplar(row=at, inputs=_question(row), targets=f" {rationale} The answer is {number}.")


def _question(row: Row) -> str:
    return f"Q: {str(row['question']).strip()}\nA:"


def _prompt(row: Row, at: int, exemplars: tuple[Exemplar, ...]) -> Prompt:
    number = solution_of(row)[1]
    return written_prompt(
        "gsm8k_cot/main", at, template="cot", inputs=_question(row), references=(number,), exemplars=exemplars
    )


SUITE = Suite(
    name="gsm8k",
    modes=("cot",),
    parts=parts,
    averages=by_group("tasks"),
    families=("gsm8k",),
    help="grade-school mathematics, eight shots with rationales",
)
