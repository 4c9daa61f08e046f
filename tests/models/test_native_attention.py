"""Attention in C++ gives the textbook's results for all kinds of segments; without it, everything still works."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from tests.models.test_compiled import made_small
from tests.models.test_segments import ends, one_by_one
from tests.models.test_training_form import distance, gradients, pack_of

from flantune.models.attention import door, native, native_build
from flantune.models.attention.interface import segment_attention
from flantune.models.attention.rules import AttentionRule
from flantune.models.compiler import find_compiler, no_compiler
from flantune.models.forms.training_form import TrainingForm

LONG = [513, 300, 145, 96, 64, 33, 17, 16, 15, 5, 1, 1]
READ = [7, 513, 0, 64, 1, 200, 30, 3, 9, 31, 0, 60]
WRITTEN = [9, 40, 31, 2, 270, 1, 0, 30, 12, 7, 5, 64]
INPUTS = [400, 7, 144, 96, 0, 1, 16, 16, 2, 4, 1, 0]
"""Mutual tokens of each segment of ``LONG``, for cases of prefix attention."""
BEHIND = 5
REACH = 640


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program, built in an empty folder, so that no old one is tested."""
    if not find_compiler():
        pytest.skip(no_compiler())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        native.find_native.cache_clear()
        found = native.find_native()
        assert found.program is not None, found.why_not
        yield found
    native.find_native.cache_clear()


@pytest.fixture
def bfloat16(program):
    if torch.bfloat16 not in program.dtypes:
        pytest.skip(program.why_not)
    return torch.bfloat16


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return made.requires_grad_()


def lines_of(queries, keys, heads, key_heads, width, dtype=torch.float32) -> list[torch.Tensor]:
    counts = ((sum(queries), heads), (sum(keys), key_heads), (sum(keys), key_heads))
    return [random(n + BEHIND, h, width, seed=seed, dtype=dtype) for seed, (n, h) in enumerate(counts)]


def exactly(lines, bias, rule, queries, keys, mutual=None) -> torch.Tensor:
    """Attention in float64, segment by segment; zeros where a segment has no keys and after the last segment."""
    q, k, found = ends(queries), ends(keys), torch.zeros_like(lines[0])
    parts = [found[:0]]
    for i in range(len(queries)):
        mine = [lines[0][q[i] : q[i + 1]], *(line[k[i] : k[i + 1]] for line in lines[1:])]
        has_both = queries[i] and keys[i]
        own = None if mutual is None else [mutual[i]]
        parts.append(
            one_by_one(*mine, bias, rule, [queries[i]], [keys[i]], own) if has_both else torch.zeros_like(mine[0])
        )
    return torch.cat([*parts, found[q[-1] :]])


def natively(lines, bias, rule, queries, keys, mutual=None) -> torch.Tensor:
    counts = None if mutual is None else torch.tensor(mutual, dtype=torch.int32)
    with door.in_use():
        assert door.is_for(*lines, rule)
        return segment_attention(
            *lines, cu_query=ends(queries), cu_key=ends(keys), rule=rule, bias=bias, mutual=counts
        )  # fmt: skip


def far(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.detach().double() - expected.detach()).norm() / expected.detach().norm())


CASES = {
    "causal": (AttentionRule(scale=0.3, is_causal=True), LONG, LONG, 2, 2, 64, False),
    "window": (AttentionRule(scale=0.3, is_causal=True, window=7), LONG, LONG, 2, 2, 32, False),
    "wide window": (AttentionRule(scale=0.3, is_causal=True, window=130), LONG, LONG, 2, 2, 16, False),
    "grouped heads": (AttentionRule(scale=0.3, is_causal=True), LONG, LONG, 6, 2, 16, False),
    "both ways with bias": (AttentionRule(scale=1.0, is_causal=False), LONG, LONG, 3, 3, 16, True),
    "causal with bias": (AttentionRule(scale=1.0, is_causal=True), LONG, LONG, 3, 3, 80, True),
    "across": (AttentionRule(scale=0.2, is_causal=False), WRITTEN, READ, 4, 2, 128, False),
    "across with bias": (AttentionRule(scale=0.2, is_causal=False), WRITTEN, READ, 4, 4, 32, True),
    "prefix": (AttentionRule(scale=0.3, is_causal=True), LONG, LONG, 6, 2, 64, False),
    "prefix, window": (AttentionRule(scale=0.3, is_causal=True, window=7), LONG, LONG, 2, 2, 16, False),
    "prefix, wide window with bias": (AttentionRule(scale=0.3, is_causal=True, window=130), LONG, LONG, 2, 2, 32, True),
}


EDGES = [*range(36), 47, 48, 49, 63, 64, 65, 95, 96, 97, 98, 101, 127, 191, 192, 193, 255, 256, 257, 258]


@pytest.mark.parametrize(
    ("lengths", "inputs"),
    [([*EDGES[1:], 385], None), ([300 if count > 30 else count + 7 for count in [*EDGES, 299]], [*EDGES, 299])],
    ids=["segments", "inputs"],
)
def test_many_lengths(lengths, inputs, program):
    """Covers the edges of tiles, of blocks of keys and queries, and of mutual tokens."""
    rule = AttentionRule(scale=0.3, is_causal=True)
    lines = lines_of(lengths, lengths, 1, 1, 16)
    found = natively(lines, None, rule, lengths, lengths, inputs)
    exact = [line.detach().double().requires_grad_() for line in lines]
    expected = exactly(exact, None, rule, lengths, lengths, inputs)
    assert torch.allclose(found.double(), expected, atol=1e-5)
    for left, right in zip(
        torch.autograd.grad(found.square().sum(), lines),
        torch.autograd.grad(expected.square().sum(), exact),
        strict=True,
    ):
        assert torch.allclose(left.double(), right, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_the_textbooks(case, dtype, program):
    if dtype not in program.dtypes:
        pytest.skip(program.why_not)
    rule, queries, keys, heads, key_heads, width, has_bias = CASES[case]
    lines = lines_of(queries, keys, heads, key_heads, width, dtype)
    bias = random(heads, 2 * REACH + 1, seed=3) if has_bias else None
    towards = random(sum(queries) + BEHIND, heads, width, seed=4, dtype=dtype).detach()
    mutual = INPUTS if case.startswith("prefix") else None
    found = natively(lines, bias, rule, queries, keys, mutual)
    exact = [line.detach().double().requires_grad_() for line in (*lines, *([bias] if has_bias else []))]
    expected = exactly(exact[:3], exact[3] if has_bias else None, rule, queries, keys, mutual)
    limit = 1e-5 if dtype == torch.float32 else 6e-3
    assert found.dtype == dtype and far(found, expected) < limit
    wanted = [*lines, *([bias] if has_bias else [])]
    for left, right in zip(
        torch.autograd.grad(found, wanted, towards),
        torch.autograd.grad(expected, exact, towards.double()),
        strict=True,
    ):
        assert far(left, right) < limit


def test_bfloat16_is_as_near_as_rounded_results_can_be(bfloat16):
    """Scores are float32, so the error is that of rounding the exact result, on any processor."""
    rule, queries, keys, *shape, _ = CASES["causal"]
    lines = lines_of(queries, keys, *shape, bfloat16)
    expected = exactly([line.detach().double() for line in lines], None, rule, queries, keys)
    rounded = expected.to(torch.bfloat16)
    assert far(natively(lines, None, rule, queries, keys), expected) < 2 * far(rounded, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_bits_for_any_number_of_threads(dtype, program):
    if dtype not in program.dtypes:
        pytest.skip(program.why_not)
    rule, lines, bias = (
        AttentionRule(scale=0.3, is_causal=True),
        lines_of(LONG, LONG, 4, 4, 32, dtype),
        random(4, 1281, seed=3),
    )
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            out = natively(lines, bias, rule, LONG, LONG)
            found.append([out, *torch.autograd.grad(out.float().square().sum(), [*lines, bias])])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(left, right) for left, right in zip(found[0], other, strict=True))


def test_any_layout_in_memory(program):
    rule, lengths = AttentionRule(scale=0.3, is_causal=True), [40, 3, 17]
    lines = [line.detach() for line in lines_of(lengths, lengths, 4, 4, 16)]
    expected = natively(lines, None, rule, lengths, lengths)
    head_first = [line.transpose(0, 1).contiguous().transpose(0, 1) for line in lines]
    apart = [torch.stack([line, line], dim=-1)[..., 0] for line in lines]
    for laid in (head_first, apart):
        assert torch.equal(natively(laid, None, rule, lengths, lengths), expected)


def test_a_window_that_nobody_outgrows_is_none(program):
    lengths = [300, 40]
    found = []
    for window in (0, 340, 2**40):
        lines = lines_of(lengths, lengths, 2, 2, 16)
        out = natively(lines, None, AttentionRule(scale=0.3, is_causal=True, window=window), lengths, lengths)
        found.append([out, *torch.autograd.grad(out.square().sum(), lines)])
    for other in found[1:]:
        assert all(torch.equal(left, right) for left, right in zip(found[0], other, strict=True))


def test_tokens_before_the_first_segment_are_of_none(program):
    rule, lengths = AttentionRule(scale=0.3, is_causal=True), [3, 40, 17]
    lines, bias = lines_of(lengths, lengths, 2, 2, 16), random(2, 101, seed=3)
    behind = [line.detach()[3:].requires_grad_() for line in lines]
    found = []
    for given, cu in ((lines, ends(lengths)[1:]), (behind, ends(lengths[1:]))):
        with door.in_use():
            out = segment_attention(*given, cu_query=cu, cu_key=cu, rule=rule, bias=bias)
        grads = torch.autograd.grad(out.square().sum(), [*given, bias])
        found.append([line[-len(behind[0]) :] for line in (out, *grads[:3])] + [grads[3]])
        assert not out[: -len(behind[0])].any()
    assert all(torch.equal(left, right) for left, right in zip(*found, strict=True))


def test_a_number_that_is_none_is_not_hidden(program):
    rule, lengths = AttentionRule(scale=0.3, is_causal=True), [40, 30]
    lines = [line.detach().clone() for line in lines_of(lengths, lengths, 1, 1, 16)]
    lines[1][10] = float("nan")
    found = natively(lines, None, rule, lengths, lengths)
    assert torch.isnan(found[10:40]).all() and torch.isfinite(found[40:]).all()


def test_what_it_cannot_do_is_left_to_pytorch(program):
    rule = AttentionRule(scale=0.3, is_causal=True)
    narrow, double = lines_of([5], [5], 1, 1, 8), lines_of([5], [5], 1, 1, 16, torch.float64)
    lines = lines_of([5], [5], 1, 1, 16)
    with door.in_use():
        assert not door.is_for(*narrow, rule)
        assert not door.is_for(*lines[:2], lines_of([5], [5], 1, 1, 32)[2], rule)
        assert not door.is_for(*double, rule)
        assert not door.is_for(*lines, AttentionRule(scale=0.3, is_causal=True, dropout=0.1))
        assert door.is_for(*lines, rule)
    assert not door.is_for(*lines, rule)


def test_a_bias_that_does_not_reach_is_an_error(program):
    lines = lines_of([50], [50], 1, 1, 16)
    with pytest.raises(ValueError, match="50 tokens and the bias reaches 40"):
        natively(lines, random(1, 81, seed=3), AttentionRule(scale=1.0, is_causal=True), [50], [50])


@pytest.fixture
def forgotten():
    """Clears what this process has found about the program, before and after the test."""
    native.find_native.cache_clear()
    yield
    native.find_native.cache_clear()


def test_a_compiler_that_fails_is_told_and_training_goes_on(forgotten, tmp_path, monkeypatch, tokenizer):
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'the disk of the compiler is full' >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch, "compile", lambda forward, **_: forward)
    made = made_small("llama", tokenizer)
    assert "the disk of the compiler is full" in door.why_not_program(made.compute_dtype)
    assert not list((tmp_path / "cache/flantune").iterdir())
    with door.in_use():
        assert not door.is_for(*lines_of([5], [5], 1, 1, 16), AttentionRule(scale=1.0, is_causal=True))
    compiled, eager = (TrainingForm(made, is_compiled=form, is_lean=False) for form in (True, False))
    assert distance(gradients(made, compiled, [pack_of(made)]), gradients(made, eager, [pack_of(made)])) < 1e-6


def test_without_a_compiler_the_reason_says_so(forgotten, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert door.why_not_program(torch.float32) == "there is no C++ compiler (g++, clang++, c++)"


def test_a_cache_folder_that_cannot_be_written_is_told(forgotten, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert "cannot be written" in door.why_not_program(torch.float32)


def test_without_a_home_folder_the_reason_says_so(forgotten, monkeypatch):
    def nobody() -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(native_build.Path, "home", nobody)
    assert "home directory" in door.why_not_program(torch.float32)


def test_wrong_numbers_are_found_before_they_are_used(program, forgotten, monkeypatch):
    """A program whose scores are off by a tenth does not pass."""
    usual = native.Inputs.problem

    def wrong(inputs, rule):
        problem = usual(inputs, rule)
        problem.scale *= 1.1
        return problem

    monkeypatch.setattr(native.Inputs, "problem", wrong)
    with pytest.warns(UserWarning, match="differ from PyTorch's"):
        assert native.find_native().program is None


def test_two_processes_build_at_once(program, tmp_path):
    code = (
        "from flantune.models.attention import native_build\n"
        "print(native_build.load_library().flantune_attention_kinds() > 0)"
    )
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in started] == ["True", "True"]
    assert [path.suffix for path in Path(tmp_path / "flantune").iterdir()] == [".so"]


def test_training_uses_it_compiled_or_not_and_gradients_are_the_same(program, tokenizer, monkeypatch):
    """All layers of T5, with its bias and cross-attention; for a Llama-like model see ``test_compiled``."""
    # All of the compiler except code generation, which takes long.
    usual = torch.compile
    monkeypatch.setattr(torch, "compile", lambda forward, **more: usual(forward, **{**more, "backend": "aot_eager"}))
    assert native.find_native().program is not None
    calls: list[str] = []
    forward = native.forward_natively
    monkeypatch.setattr(native, "forward_natively", lambda *given: (calls.append("forward"), forward(*given))[1])
    made = made_small("t5", tokenizer)
    torch._dynamo.reset()
    pack, without = pack_of(made), TrainingForm(made, is_lean=False)
    without._attention = nullcontext
    expected = gradients(made, without, [pack])
    assert not calls
    for number, is_compiled in enumerate((True, False), 1):
        form = TrainingForm(made, is_compiled=is_compiled, is_lean=False)
        assert distance(gradients(made, form, [pack]), expected) < 1e-5
        assert len(calls) == 6 * number
    assert distance(gradients(made, without, [pack]), expected) == 0.0
