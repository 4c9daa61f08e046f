from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from flantune.evaluation.statistics.over_templates import agreement_rate, spread_over_templates


def test_spread_over_templates():
    values = [0.1, 0.4, 0.5, 0.9, 0.3]
    spread = spread_over_templates(values)
    assert spread.std == pytest.approx(np.std(values, ddof=1))
    assert spread.median == 0.4
    assert spread.iqr == pytest.approx(scipy.stats.iqr(values))
    assert spread_over_templates([0.5]).std == 0.0


def test_agreement_counts_rows_that_all_templates_answer_alike():
    assert agreement_rate(np.array([[2, 2], [0, 1]])) == 0.5
    assert agreement_rate(np.array([[2], [0]])) == 1.0
    assert agreement_rate(np.array([[1, -1, 0], [1, -1, 1]])) == 0.5
