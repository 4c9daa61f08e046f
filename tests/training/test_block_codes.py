"""Rows in one byte a value: the nearest code of the published map, whatever is cut where."""

from __future__ import annotations

import pytest
import torch

from flantune.training.block_codes import block_size, code_book, dynamic_values

CPU = torch.device("cpu")


def coded(values, *, is_signed, block=256):
    book = code_book(is_signed=is_signed, device=CPU)
    codes = torch.zeros(values.shape, dtype=torch.uint8)
    scales = torch.zeros(*values.shape[:-1], values.shape[-1] // block)
    book.encode_(values, codes, scales)
    return book, codes, scales


def sample(*, is_signed, rows=200, columns=512):
    """Over many powers of ten, with whole blocks of zeros and single ones."""
    torch.manual_seed(0)
    values = torch.randn(rows, columns) * torch.exp(3 * torch.randn(rows, columns)) * 10 ** torch.randn(rows, 1)
    values[3], values[:, 5] = 0.0, 0.0
    return values if is_signed else values.abs()


@pytest.mark.parametrize("is_signed", [True, False])
def test_the_map_is_that_of_bitsandbytes(is_signed):
    functional = pytest.importorskip("bitsandbytes.functional")
    theirs = functional.create_dynamic_map(signed=is_signed)
    assert dynamic_values(is_signed=is_signed) == pytest.approx(theirs.tolist(), abs=1e-7)


@pytest.mark.parametrize("is_signed", [True, False])
def test_every_value_gets_the_nearest_code(is_signed):
    values = sample(is_signed=is_signed)
    book, codes, scales = coded(values, is_signed=is_signed)
    ratios = values.view(200, 2, 256) / scales.clamp(min=1e-38)[..., None]
    errors = (ratios[..., None] - book.values).abs()
    mine = errors.gather(-1, codes.view(200, 2, 256, 1).long())[..., 0]
    # A second moment above zero stays above zero, so its smallest ones are rounded up.
    nearest = errors.amin(-1) if is_signed else torch.where(ratios > 0, errors[..., 1:].amin(-1), errors[..., 0])
    torch.testing.assert_close(mine, nearest, atol=1e-7, rtol=0)
    decoded = book.decode(codes, scales)
    assert torch.equal(decoded[3], torch.zeros(512)) and torch.equal(decoded[:, 5], torch.zeros(200))
    assert is_signed or bool((decoded[values > 0] > 0).all())
    largest = values.view(200, 2, 256).argmax(-1, keepdim=True)
    if not is_signed:
        there = decoded.view(200, 2, 256).gather(-1, largest)
        assert torch.equal(there, values.view(200, 2, 256).gather(-1, largest))


def test_rows_are_coded_alike_alone_and_among_others():
    values = sample(is_signed=True)
    _, codes, scales = coded(values, is_signed=True)
    for rows in (slice(0, 1), slice(7, 60), slice(60, 200)):
        _, own_codes, own_scales = coded(values[rows].contiguous(), is_signed=True)
        assert torch.equal(own_codes, codes[rows]) and torch.equal(own_scales, scales[rows])


@pytest.mark.parametrize("columns", [64, 96, 256, 576, 768, 896, 1152, 1536, 3072, 4864, 11008, 49152])
def test_widths_of_real_models_are_cut_evenly(columns):
    block = block_size(torch.Size((1000, columns)))
    assert block is not None and columns % block == 0 and 64 <= block <= 256
