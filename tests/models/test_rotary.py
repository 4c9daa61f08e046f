"""Rotary positions in one pass: results and gradients of transformers, whose function is restored afterwards."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
import torch
from tests.models.test_row_operations import DTYPES, compare, values
from tests.models.test_training_form import distance, gradients, pack_of
from tests.training.small import make_lm
from transformers.models.cohere import modeling_cohere
from transformers.models.gpt_neox import modeling_gpt_neox
from transformers.models.llama import modeling_llama
from transformers.models.olmo2 import modeling_olmo2

import flantune.models.forms.row_operations as operations
from flantune.models.attention import door
from flantune.models.forms.reading_form import ReadingForm
from flantune.models.forms.rotary import LeanRotation, rotated, rotations
from flantune.models.forms.row_operations import rotate
from flantune.models.forms.training_form import TrainingForm


def made_up(*, rows=1, heads=4, key_heads=2, tokens=5, width=64):
    """Queries and keys in the memory layout of projections, and angles whose halves differ."""
    lines = [torch.randn(rows, tokens, count * width) for count in (heads, key_heads)]
    split = [line.view(rows, tokens, -1, width).transpose(1, 2) for line in lines]
    # Numbers that are exact in both dtypes.
    angles = [torch.randn(rows, tokens, width).bfloat16().float() for _ in range(2)]
    return split, angles


def together(function, angles, dtype):
    def run(query, key):
        return torch.cat(function(query, key, *(angle.to(dtype) for angle in angles)), dim=1)

    return run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "sizes", [{}, {"rows": 3, "tokens": 1}, {"tokens": 300, "width": 32}, {"heads": 1, "key_heads": 1, "width": 96}]
)
def test_rotations_are_those_of_transformers(row_program, dtype, sizes):
    lines, angles = made_up(**sizes)
    rows, heads, tokens, width = lines[0].shape
    towards = torch.randn(rows, heads + lines[1].shape[1], tokens, width)
    expected = together(modeling_llama.apply_rotary_pos_emb, angles, torch.float32)
    compare(together(rotate, angles, dtype), expected, lines, towards, dtype)


def test_angles_may_be_float32_and_lines_may_lie_in_any_way(row_program):
    if torch.bfloat16 not in door.find_program().dtypes:
        pytest.skip("the processor has no arithmetic in bfloat16")
    lines, angles = made_up(rows=2)
    turned = [line.transpose(2, 3).contiguous().transpose(2, 3) for line in lines]
    towards = torch.randn(2, 6, 5, 64)
    expected = together(modeling_llama.apply_rotary_pos_emb, angles, torch.float32)
    compare(together(rotate, angles, torch.float32), expected, turned, towards, torch.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_gives_the_same_bits(row_program, dtype, monkeypatch):
    if dtype not in door.find_program().dtypes:
        pytest.skip("the processor has no arithmetic in this dtype")
    lines, angles = made_up(tokens=300, width=32)
    towards, found = torch.randn(1, 6, 300, 32).to(dtype), []
    for threads in (1, 3):
        monkeypatch.setattr(operations, "threads_for", lambda _, threads=threads: threads)
        found.append(values(together(rotate, angles, dtype), [line.to(dtype) for line in lines], towards))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_nothing_is_taken_from_transformers_where_no_program_can(row_program):
    (query, key), angles = made_up(width=48)
    assert rotate(query, key, *angles) is None
    (query, key), angles = made_up()
    assert rotate(query.double(), key.double(), *angles) is None
    assert rotate(query, key, *(angle.bfloat16() for angle in angles)) is None
    assert rotate(query, key, *(angle[..., :32] for angle in angles)) is None
    assert rotate(query, key, *(angle.requires_grad_() for angle in angles)) is None


class Model(torch.nn.Module):
    """A model that appears to come from the given module."""


def model_of(name: str) -> torch.nn.Module:
    kind = type("Layer", (Model,), {"__module__": name})
    return torch.nn.Sequential(kind(), kind())


def test_functions_with_the_same_numbers_take_another_form_until_the_block_ends():
    (found,) = rotations(model_of(modeling_llama.__name__))
    usual = modeling_llama.apply_rotary_pos_emb
    with pytest.raises(RuntimeError, match="stop"), rotated([found]):
        assert modeling_llama.apply_rotary_pos_emb is found and found.usual is usual
        raise RuntimeError("stop")
    assert modeling_llama.apply_rotary_pos_emb is usual
    # Llama's function gives float32 if the angles are float32; Olmo 2's keeps the dtype of queries and keys.
    assert not found.keeps_dtype
    assert [each.keeps_dtype for each in rotations(model_of(modeling_olmo2.__name__))] == [True]


def test_functions_with_other_numbers_stay():
    # Cohere rotates adjacent pairs.
    assert rotations(model_of(modeling_cohere.__name__)) == []
    strange = ModuleType("strange")
    strange.apply_rotary_pos_emb = lambda x, angles: x
    assert rotations(torch.nn.Linear(2, 2)) == []


def test_what_is_not_for_the_program_is_asked_of_the_function(row_program):
    (query, key), angles = made_up()
    (found,) = rotations(model_of(modeling_llama.__name__))
    expected = modeling_llama.apply_rotary_pos_emb(query, key, *angles)
    torch.testing.assert_close(found(query, key, *angles), expected)
    # As in transformers, float32 angles make results float32.
    assert all(each.dtype == torch.float32 for each in found(query.bfloat16(), key.bfloat16(), *angles))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(each.dtype == torch.bfloat16 for each in found(query.bfloat16(), key.bfloat16(), *angles))
    lines = [line.transpose(1, 2) for line in (query, key)]
    expected = modeling_llama.apply_rotary_pos_emb(*lines, *angles, unsqueeze_dim=2)
    torch.testing.assert_close(found(*lines, *angles, unsqueeze_dim=2), expected)


def test_keys_have_one_dtype_whoever_turns_them(row_program):
    """The program rotates one row but not several with shared angles; their keys go into the same cache."""
    (found,) = rotations(model_of(modeling_llama.__name__))
    alone, angles = made_up()
    several, _ = made_up(rows=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for lines in (alone, several):
            query, key = (line.bfloat16() for line in lines)
            turned = found(query, key, *angles)
            assert [each.dtype for each in turned] == [torch.bfloat16] * 2
            expected = modeling_llama.apply_rotary_pos_emb(query, key, *angles)
            for one, other in zip(turned, expected, strict=True):
                torch.testing.assert_close(one.float(), other.float(), rtol=1e-2, atol=2e-2)


def test_part_of_a_head_may_be_turned():
    """The form gives the function's results if only part of a head is rotated."""
    for found in rotations(model_of(modeling_gpt_neox.__name__)):
        (query, key), angles = made_up()
        short = [angle[..., :32] for angle in angles]
        with door.only_rows_in_use():
            torch.testing.assert_close(found(query, key, *short), found.usual(query, key, *short))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_has_the_gradients_it_had(dtype, monkeypatch):
    lm = replace(make_lm("llama", width=64), compute_dtype=dtype)
    calls: list[bool] = []
    turned = operations._turned

    def counted(*lines, is_back):
        calls.append(is_back)
        return turned(*lines, is_back=is_back)

    monkeypatch.setattr(operations, "_turned", counted)
    exact = replace(lm, compute_dtype=torch.float32)
    expected = gradients(exact, TrainingForm(exact, is_lean=False), [pack_of(exact)])
    assert not calls
    form = TrainingForm(lm)
    found = gradients(lm, form, [pack_of(lm)])
    for one in (form, ReadingForm(lm)):
        assert [type(each) for each in one._rotations] == [LeanRotation]
    # Two layers, forward and backward.
    assert calls == [False, False, True, True] or dtype not in door.find_program().dtypes
    assert distance(found, expected) < (1e-5 if dtype == torch.float32 else 0.1)
