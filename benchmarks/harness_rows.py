"""Task files of lm-evaluation-harness that name functions, and rows written for them, with the columns they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

THINGS = ("lantern", "ferry", "orchard", "violin", "glacier", "kettle", "harbor", "quilt", "meadow", "anvil", "sparrow")
DOINGS = ("was mended", "stood open", "turned slowly", "was sold", "kept still", "fell silent", "was painted")
LETTERS = "ABCDE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A task file, and what its rows have besides the columns that all have.

    Attributes:
        file: Its path below ``lm_eval/tasks``.
        shots: Exemplars; None: as the file says.
        own: Columns by the row's number; a function of it, or a value.
        settings: Settings of the file that are replaced, on both sides.
    """

    file: str
    shots: int | None = None
    own: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def thing(n: int) -> str:
    """A word that tells rows apart."""
    return THINGS[n % len(THINGS)]


def sentence(n: int) -> str:
    """A sentence of its own for each number."""
    return f"The {thing(n)} {DOINGS[n % len(DOINGS)]} on day {n}."


def four(n: int) -> list[str]:
    """Four answers of several lengths."""
    return [f"{thing(n + k)}{' of stone' * (k % 2)}" for k in range(4)]


def common(n: int) -> Row:
    """Columns under the names that many datasets give them."""
    a, b, c, d = four(n)
    return {
        "id": f"row-{n}",
        "question": f"What {DOINGS[n % len(DOINGS)]} on day {n}?",
        "context": sentence(n + 1),
        "passage": sentence(n + 2),
        "choices": [a, b, c, d],
        "options": [a, b, c, d],
        "candidates": [a, b, c, d],
        "label": n % 4,
        "answer": n % 4,
        **{f"ending{k}": text for k, text in enumerate((a, b, c, d))},
        **{f"op{letter}": text for letter, text in zip("abcd", (a, b, c, d), strict=True)},
        **{f"op{k + 1}": text for k, text in enumerate((a, b, c, d))},
        **{f"option_{letter}": text for letter, text in zip("abcde", (a, b, c, d, ""), strict=True)},
        "sent1": sentence(n),
        "cop": n % 4,
        "premise": sentence(n),
        "hypothesis": f"Nothing {DOINGS[n % 3]}",
        "choice1": f"It {DOINGS[n % 5]}.",
        "choice2": f"They saw the {thing(n + 3)}.",
        "ctx_a": f"A {thing(n)} [step] stands here on day {n}.",
        "ctx_b": f"the {thing(n + 1)} [title] moves  on",
        "ctx": sentence(n),
        "activity_label": thing(n + 5).capitalize(),
        "endings": [f"{text} [substeps] comes in." for text in (a, b, c, d)],
        "sentence1": f'{sentence(n)[:-1]} , " he said " .',
        "sentence2": sentence(n + 1),
    }


def rows(case: Case, count: int, *, start: int) -> list[Row]:
    """Rows of one split."""
    made = []
    for n in range(start, start + count):
        own = {key: value(n) if callable(value) else value for key, value in case.own.items()}
        made.append({**common(n), **own})
    return made


def _letter(n: int) -> str:
    return LETTERS[n % 4]


_HELLASWAG = {"label": lambda n: str(n % 4)}
_LETTER = {"answer": _letter}
_CAUSE = {"question": lambda n: ("cause", "effect")[n % 2], "label": lambda n: n % 2}
_MC = {
    "mc1_targets_choices": four,
    "mc1_targets_labels": [1, 0, 0, 0],
    "mc2_targets_choices": four,
    "mc2_targets_labels": [1, 1, 0, 0],
}
_STORY = {key: (lambda n, k=k: sentence(n + k).lower()) for k, key in enumerate(
    ("norm", "situation", "intention", "moral_action", "immoral_action"))}  # fmt: skip
_GPQA = {
    "Question": lambda n: f"Which one {DOINGS[n % 4]} on day {n}?",
    "Correct Answer": lambda n: f" {thing(n)} [title]x",
} | {f"Incorrect Answer {k}": (lambda n, k=k: f"{thing(n + k)}  {k}") for k in (1, 2, 3)}
_SHORT = {
    "generation_kwargs": {"until": ["\n\n", "Question:"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 10}
}
_PRO = {
    "options": lambda n: [*four(n), f"{thing(n + 7)} "],
    "category": lambda n: "math" if n % 3 else "law",
    "cot_content": lambda n: f"A: Let's think step by step. It is day {n}. The answer is ({_letter(n)}).",
    "answer": _letter,
    "answer_index": lambda n: n % 4,
}
_EMOTIONS = {
    "prompt": lambda n: f"How does the keeper of the {thing(n)} feel? Calm: Glad: Tense: Proud:",
    "reference_answer_fullscale": lambda n: str(
        {f"emotion{k}": name for k, name in enumerate(("Calm", "Glad", "Tense", "Proud"), 1)}
        | {f"emotion{k}_score": str((n + k) % 10) for k in range(1, 5)}
    ),
}
_DROP = {
    "query_id": lambda n: f"q{n}",
    "answer": lambda n: {
        "number": str(n) if n % 2 else "",
        "date": {"day": "", "month": "", "year": ""},
        "spans": [] if n % 2 else [thing(n), "stone"],
    },
    "validated_answers": lambda n: {
        "number": ["", str(n + 1)],
        "date": [{"day": "2", "month": "May", "year": ""}, {"day": "", "month": "", "year": ""}],
        "spans": [[], []],
    },
}
_ARABIC = {
    "Level": lambda n: ("Primary", "Univ", None)[n % 3],
    "Country": lambda n: ("Egypt", None)[n % 2],
    "Subject": "Physics",
    "Question": sentence,
    "Context": lambda n: None if n % 2 else sentence(n + 4),
    **{f"Option {k}": (lambda n, k=k: f"{thing(n + k)}" if k < 4 or n % 2 else None) for k in range(1, 5)},
    "Option 5": None,
    "Answer Key": lambda n: LETTERS[n % 3],
}

CASES = (
    Case(file="hellaswag/hellaswag.yaml", own=_HELLASWAG),
    Case(file="hellaswag/hellaswag.yaml", own=_HELLASWAG, shots=2),
    Case(file="darijahellaswag/darijahellaswag.yaml", own=_HELLASWAG, shots=1),
    Case(file="egyhellaswag/egyhellaswag.yaml", own=_HELLASWAG),
    Case(file="okapi/hellaswag_multilingual/hellaswag_fr.yaml", own={"label": lambda n: f" {n % 4}"}),
    Case(file="okapi/truthfulqa_multilingual/truthfulqa_fr_mc1.yaml", own=_MC),
    Case(file="okapi/truthfulqa_multilingual/truthfulqa_fr_mc2.yaml", own=_MC),
    Case(file="okapi/truthfulqa_multilingual/truthfulqa_de_mc2.yaml", own=_MC),
    Case(file="okapi/arc_multilingual/arc_fr.yaml", own={"instruction": sentence, **_LETTER}, shots=2),
    Case(file="paws-x/paws_en.yaml", own={"label": lambda n: n % 2}, shots=1),
    Case(file="paws-x/paws_de.yaml", own={"label": lambda n: n % 2}),
    Case(
        file="csatqa/csatqa_gr.yaml",
        own={**{f"option#{k}": (lambda n, k=k: thing(n + k)) for k in range(1, 6)}, "gold": lambda n: str(n % 5 + 1)},
    ),
    Case(file="medqa/medqa.yaml", shots=2),
    Case(file="medmcqa/medmcqa.yaml", shots=3),
    Case(
        file="pubmedqa/pubmedqa.yaml",
        own={
            "CONTEXTS": lambda n: [sentence(n), sentence(n + 2)],
            "QUESTION": lambda n: f"Was it {thing(n)}?",
            "final_decision": lambda n: ("yes", "no", "maybe")[n % 3],
        },
        shots=1,
    ),
    Case(file="careqa/careqa_en.yaml", own={"cop": lambda n: n % 4 + 1}),
    Case(file="super_glue/copa/default.yaml", own=_CAUSE, shots=2),
    Case(file="xcopa/default_it.yaml", own=_CAUSE, shots=1),
    Case(file="xcopa/default_zh.yaml", own=_CAUSE),
    Case(file="copal_id/standard.yaml", own=_CAUSE),
    Case(
        file="toxigen/toxigen.yaml",
        own={"text": sentence, "toxicity_ai": lambda n: 1.0 + n % 5, "toxicity_human": lambda n: 1.0 + n % 3},
    ),
    Case(file="webqs/webqs.yaml", own={"answers": lambda n: [thing(n + 1), thing(n), thing(n) + " light"]}),
    Case(file="arabicmmlu/arabicmmlu_accounting_university.yaml", own=_ARABIC, shots=1),
    Case(
        file="crows_pairs/crows_pairs_english.yaml",
        own={"sent_more": sentence, "sent_less": lambda n: sentence(n + 1), "bias_type": "age"},
    ),
    Case(
        file="crows_pairs/crows_pairs_english_gender.yaml",
        own={
            "sent_more": sentence,
            "sent_less": lambda n: sentence(n + 1),
            "bias_type": lambda n: "gender" if n % 2 else "age",
        },
    ),
    Case(
        file="groundcocoa/groundcocoa.yaml",
        own={"query": sentence, "Answer": _letter, **{f"Option {x}": four for x in LETTERS}},
    ),
    Case(file="moral_stories/moral_stories.yaml", own=_STORY),
    Case(file="histoires_morales/histoires_morales.yaml", own=_STORY),
    Case(
        file="leaderboard/musr/musr_murder_mysteries.yaml",
        own={
            "narrative": sentence,
            "choices": lambda n: str(four(n)),
            "answer_choice": lambda n: four(n)[n % 4],
        },
    ),
    Case(file="gpqa/zeroshot/gpqa_main_zeroshot.yaml", own=_GPQA),
    Case(
        file="glianorex/glianorex.yaml",
        own={"options": lambda n: dict(zip("ABCD", four(n), strict=True)), "answer_idx": _letter, "language": "en"},
    ),
    Case(file="glue/mnli/default.yaml", own={"label": lambda n: n % 3}, shots=2),
    Case(
        file="hendrycks_ethics/utilitarianism.yaml", own={"activity": sentence, "baseline": lambda n: sentence(n + 1)}
    ),
    Case(
        file="mathqa/mathqa.yaml",
        own={
            "Problem": sentence,
            "options": lambda n: f"a ) {n} , b ) {n + 1} , c ) {n + 2} , d ) {n + 3} , e ) none of these",
            "correct": lambda n: "abcde"[n % 5],
        },
        shots=1,
    ),
    Case(file="logiqa/logiqa.yaml", own={"label": lambda n: "abcd"[n % 4]}, shots=1),
    Case(file="logiqa2/logiqa2.yaml", own={"text": sentence}),
    Case(file="eus_trivia/eus_trivia.yaml", shots=2),
    Case(file="eus_reading/eus_reading.yaml", shots=1),
    Case(file="darijammlu/darijammlu_accounting.yaml", own={"subject_darija": "lkima", "context": ""}, shots=2),
    Case(file="egymmlu/egymmlu_accounting.yaml", own={"egy_subject": "kimya"}, shots=1),
    Case(file="leaderboard/mmlu_pro/mmlu_pro.yaml", own=_LETTER, shots=2),
    Case(
        file="mmlusr/answer_only/answer_only_anatomy.yaml",
        own={
            **{f"choice{k}": (lambda n, k=k: thing(n + k)) for k in range(1, 5)},
            "answer": lambda n: f" {_letter(n)}",
        },
        shots=1,
    ),
    Case(
        file="arabic_leaderboard_complete/arabic_leaderboard_arabic_exams/arabic_exams.yaml",
        own={"subject": "fizya", "answer": _letter, **{x: (lambda n, k=k: four(n)[k]) for k, x in enumerate("ABCD")}},
        shots=1,
    ),
    Case(
        file="arabic_leaderboard_complete/arabic_leaderboard_arabic_mt_boolq/arabic_mt_boolq.yaml",
        own={"answer": lambda n: n % 2 == 0},
    ),
    Case(file="arabic_leaderboard_complete/arabic_leaderboard_arabic_mt_copa/arabic_mt_copa.yaml", own=_CAUSE, shots=2),
    Case(file="agieval/sat-en.yaml", own={"query": sentence, "gold": lambda n: [n % 4]}),
    Case(
        file="click/click_cul/click_cul_economy.yaml",
        own={
            "paragraph": lambda n: "" if n % 2 else sentence(n),
            "id": lambda n: f"Economy_{n}",
            "answer": lambda n: four(n)[n % 4],
        },
    ),
    Case(file="mmlu_pro/mmlu_pro_math.yaml", own=_PRO, shots=2, settings=_SHORT),
    Case(file="drop/default.yaml", own=_DROP, settings={"generation_kwargs": {"until": ["."], "max_gen_toks": 8}}),
    Case(
        file="hendrycks_math/hendrycks_math_algebra.yaml",
        own={"problem": sentence, "solution": lambda n: f"So it is $\\boxed{{\\frac{{{n}}}{{2}}}}$."},
        shots=1,
        settings=_SHORT,
    ),
    Case(file="eq_bench/default.yaml", own=_EMOTIONS, settings=_SHORT),
    Case(file="gpqa/generative/gpqa_main_generative_n_shot.yaml", own=_GPQA, settings=_SHORT),
    Case(
        file="hrm8k/default/hrm8k_gsm8k.yaml",
        own={"answer": lambda n: n * 1.0 if n % 2 else n + 0.5},
        settings=_SHORT,
    ),
)
