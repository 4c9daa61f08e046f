from __future__ import annotations

import json

import pytest

HOSTILE = "</script></style><img src=x onerror=alert(1)><script>document.title='owned'</script>"


@pytest.fixture
def answers_file(tmp_path):
    """Three prompts, two models; one pair of answers is the same text."""
    rows = []
    for number, (left, right) in enumerate([("yes", "no"), ("same", "same"), (HOSTILE, "")], start=1):
        for model, answer in (("base", left), ("tuned", right)):
            rows.append(
                {"id": str(number), "prompt": f"Question {number}? {HOSTILE}", "model": model, "answer": answer}
            )
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
