from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.profiler import profile

from flantune.models.attention.interface import segment_attention
from flantune.models.attention.rules import AttentionRule
from flantune.models.attention.segment_plan import _plan, plan_of
from flantune.models.attention.segments import gather, scatter, toeplitz, toeplitz_sum

READ = [40, 12, 12, 33, 3, 1, 60, 60, 8, 20, 150]
WRITTEN = [9, 40, 31, 2, 60, 1, 1, 30, 12, 7, 5]


def ends(lengths) -> torch.Tensor:
    return torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)


def line(count: int, heads: int, *, seed: int) -> torch.Tensor:
    made = torch.randn(count, heads, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return made.requires_grad_()


def one_by_one(query, key, value, bias, rule, queries, keys, mutual=None) -> torch.Tensor:
    """Textbook attention, segment by segment; the first ``mutual`` tokens of a segment attend to each other."""
    found, q, k = [], ends(queries), ends(keys)
    for i in range(len(queries)):
        mine = [x[a[i] : a[i + 1]].transpose(0, 1) for x, a in ((query, q), (key, k), (value, k))]
        group = mine[0].shape[0] // mine[1].shape[0]
        mine[1:] = [x.repeat_interleave(group, dim=0) for x in mine[1:]]
        scores = mine[0] @ mine[1].transpose(1, 2) * rule.scale
        ahead = torch.arange(keys[i])[None] - torch.arange(queries[i])[:, None]
        if bias is not None:
            scores = scores + bias[:, ahead + bias.shape[1] // 2]
        if rule.is_causal:
            count = mutual[i] if mutual is not None else 0
            is_input = (torch.arange(queries[i])[:, None] < count) & (torch.arange(keys[i])[None] < count)
            hidden = (ahead > 0) & ~is_input
            if rule.window:
                hidden = hidden | (ahead.abs() >= rule.window)
            scores = scores.masked_fill(hidden, float("-inf"))
        found.append((scores.softmax(-1) @ mine[2]).transpose(0, 1))
    return torch.cat(found)


CASES = {
    "causal": (AttentionRule(scale=0.3, is_causal=True), READ, READ, 6, False),
    "window": (AttentionRule(scale=0.3, is_causal=True, window=7), READ, READ, 6, False),
    "grouped heads": (AttentionRule(scale=0.3, is_causal=True), READ, READ, 2, False),
    "both ways with bias": (AttentionRule(scale=1.0, is_causal=False), READ, READ, 6, True),
    "causal with bias": (AttentionRule(scale=1.0, is_causal=True), READ, READ, 6, True),
    "across": (AttentionRule(scale=1.0, is_causal=False), WRITTEN, READ, 6, False),
    "prefix": (AttentionRule(scale=0.3, is_causal=True), READ, READ, 2, False),
    "prefix, window": (AttentionRule(scale=0.3, is_causal=True, window=7), READ, READ, 6, False),
    "prefix with bias": (AttentionRule(scale=1.0, is_causal=True), READ, READ, 6, True),
}
INPUTS = [30, 12, 0, 1, 2, 1, 31, 60, 7, 19, 110]
"""Mutual tokens of each segment, for cases of prefix attention: none, some, all."""


def inputs_of(case: str) -> list[int] | None:
    return INPUTS if case.startswith("prefix") else None


@pytest.mark.parametrize("longest", [0, 192])
@pytest.mark.parametrize("case", CASES)
def test_segments_and_gradients_are_those_of_each_alone(case, longest):
    rule, queries, keys, groups, has_bias = CASES[case]
    lines = [line(sum(queries), 6, seed=0), *(line(sum(keys), groups, seed=seed) for seed in (1, 2))]
    bias = torch.randn(6, 2 * 192 + 1, dtype=torch.float64).requires_grad_() if has_bias else None
    mutual = inputs_of(case)
    found = segment_attention(
        *lines, cu_query=ends(queries), cu_key=ends(keys), rule=rule, bias=bias, longest=longest,
        mutual=None if mutual is None else torch.tensor(mutual, dtype=torch.int32),
    )  # fmt: skip
    expected = one_by_one(*lines, bias, rule, queries, keys, mutual)
    assert torch.allclose(found, expected, atol=1e-12)
    wanted = [*lines, *([bias] if has_bias else [])]
    towards = torch.randn_like(expected)
    for left, right in zip(
        torch.autograd.grad(found, wanted, towards), torch.autograd.grad(expected, wanted, towards), strict=True
    ):
        # The bias is summed in float32.
        assert torch.allclose(left, right, atol=1e-4 if left.shape[0] == 6 else 1e-12)


def test_padding_behind_the_last_segment_is_nobodys():
    lines = [line(50, 2, seed=seed) for seed in range(3)]
    rule = AttentionRule(scale=0.5, is_causal=True)
    found = segment_attention(*lines, cu_query=ends([20, 10]), cu_key=ends([20, 10]), rule=rule)
    assert not found[30:].any()
    gradients = torch.autograd.grad(found.sum(), lines)
    assert all(not gradient[30:].any() for gradient in gradients)


@pytest.fixture
def poisoned():
    """Makes unwritten memory NaN."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("behind_queries", "behind_keys"), [(0, 0), (0, 7), (7, 0), (5, 3)])
def test_no_memory_is_read_that_nobody_wrote(poisoned, behind_queries, behind_keys):
    """The gradient of padding after the keys was once left unset when the queries had no padding."""
    queries = line(sum(WRITTEN) + behind_queries, 2, seed=0)
    keys, values = (line(sum(READ) + behind_keys, 2, seed=seed) for seed in (1, 2))
    rule = AttentionRule(scale=0.5, is_causal=False)
    for longest in (0, 192):
        found = segment_attention(
            queries, keys, values, cu_query=ends(WRITTEN), cu_key=ends(READ), rule=rule, longest=longest
        )
        gradients = torch.autograd.grad(found.sum(), (queries, keys, values))
        assert all(torch.isfinite(tensor).all() for tensor in (found, *gradients))
        assert not any(gradient[sum(READ) :].any() for gradient in gradients[1:])
        assert not gradients[0][sum(WRITTEN) :].any()


def test_dropout_is_repeated_in_the_backward_pass():
    rule = AttentionRule(scale=0.5, is_causal=True, dropout=0.3)
    lines = [line(sum(READ), 2, seed=seed) for seed in range(3)]

    def run() -> torch.Tensor:
        torch.manual_seed(5)
        return segment_attention(*lines, cu_query=ends(READ), cu_key=ends(READ), rule=rule)

    assert torch.equal(run(), run())
    # For a fixed mask the output is linear in the values, so that the gradient determines it exactly.
    (gradient,) = torch.autograd.grad(run().sum(), lines[2])
    assert torch.allclose((gradient * lines[2]).sum(), run().sum())
    torch.manual_seed(6)
    other = segment_attention(*lines, cu_query=ends(READ), cu_key=ends(READ), rule=rule)
    assert not torch.equal(other, run())
    many = torch.stack([_dropped(lines, rule, seed) for seed in range(200)]).mean(0)
    plain = segment_attention(
        *lines, cu_query=ends(READ), cu_key=ends(READ), rule=AttentionRule(scale=0.5, is_causal=True)
    )  # fmt: skip
    assert (many - plain).abs().mean() < 0.1 * plain.abs().mean()


def _dropped(lines, rule, seed) -> torch.Tensor:
    torch.manual_seed(seed)
    return segment_attention(*lines, cu_query=ends(READ), cu_key=ends(READ), rule=rule).detach()


def test_gather_and_scatter_are_inverse():
    plan = plan_of(ends(READ), ends(READ), 2)
    source, target = line(sum(READ), 2, seed=0).detach(), torch.zeros(sum(READ), 2, 8, dtype=torch.float64)
    for chunk in plan:
        scatter(target, chunk.query, gather(source, chunk.query, chunk.rows))
    assert torch.equal(source, target)


def test_toeplitz_sum_is_the_transpose_of_toeplitz():
    table = torch.randn(3, 2 * 64 + 1, dtype=torch.float64).requires_grad_()
    laid = toeplitz(table, 32, 64)
    towards = torch.randn_like(laid)
    assert torch.allclose(torch.autograd.grad(laid, table, towards)[0], toeplitz_sum(towards, 64))


def test_few_shapes_occur_whatever_the_lengths():
    rng = np.random.default_rng(0)
    shapes = set()
    for _ in range(50):
        drawn = ends(np.minimum(512, rng.lognormal(4.8, 0.7, 14).astype(int) + 1))
        shapes |= {(chunk.rows, chunk.query.length) for chunk in plan_of(drawn, drawn, 6)}
    assert len(shapes) < 40


def test_work_is_skipped_not_masked():
    """Sixteen short segments must cost far less than one of the same total length."""
    rule, many, one = AttentionRule(scale=1.0, is_causal=True), [64] * 16, [1024]
    _plan.cache_clear()

    def matrix_flops(lengths) -> int:
        lines = [torch.randn(1024, 2, 8) for _ in range(3)]
        with profile(with_flops=True) as found, torch.no_grad():
            segment_attention(*lines, cu_query=ends(lengths), cu_key=ends(lengths), rule=rule)
        return sum(event.flops for event in found.key_averages())

    assert matrix_flops(many) * 8 <= matrix_flops(one)
