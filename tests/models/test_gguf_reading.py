"""GGUF files are read once per process, and again only after they have changed."""

from __future__ import annotations

import os

import numpy as np
import pytest
from tests.models.gguf_files import KINDS, make_gguf

from flantune.errors import ModelError
from flantune.models.load import load_model
from flantune.models.stored import gguf_reading
from flantune.models.stored.gguf_reading import located, open_gguf
from flantune.settings.config import ModelSettings

gguf = pytest.importorskip("gguf")


@pytest.fixture
def file(tmp_path):
    make_gguf(tmp_path / "tiny.gguf", KINDS["llama theta"])
    return tmp_path / "tiny.gguf"


def test_a_model_is_loaded_by_one_reading_and_again_by_none(file):
    settings = ModelSettings(path=str(file), device="cpu")
    before = gguf_reading._read.cache_info().misses
    first = load_model(settings)
    assert gguf_reading._read.cache_info().misses == before + 1
    second = load_model(settings)
    assert gguf_reading._read.cache_info().misses == before + 1
    for name, weight in first.model.state_dict().items():
        np.testing.assert_array_equal(weight.numpy(), second.model.state_dict()[name].numpy())
    # A change of one model's weights affects neither the other nor the file.
    first.model.lm_head.weight.data.add_(1.0)
    assert not np.array_equal(first.model.lm_head.weight.detach(), second.model.lm_head.weight.detach())
    third = load_model(settings)
    np.testing.assert_array_equal(third.model.lm_head.weight.detach(), second.model.lm_head.weight.detach())


def test_it_reads_what_the_library_reads(file):
    mine, usual = open_gguf(file), gguf.GGUFReader(str(file))
    assert list(mine.fields) == list(usual.fields)
    for name, field in usual.fields.items():
        assert mine.fields[name].contents() == field.contents(), name
    for own, tensor in zip(mine.tensors, usual.tensors, strict=True):
        assert (own.name, own.tensor_type, own.shape.tolist()) == (
            tensor.name,
            tensor.tensor_type,
            tensor.shape.tolist(),
        )
        np.testing.assert_array_equal(own.data, tensor.data)


def test_a_file_that_changed_is_read_anew(file):
    before = open_gguf(file)
    assert open_gguf(file) is before
    found = file.stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000_000))
    assert open_gguf(file) is not before


def test_the_library_is_as_it_was_afterwards(file):
    usual, table = gguf.GGUFReader, gguf.get_tensor_name_map
    with pytest.raises(RuntimeError), located(str(file)) as place:
        assert place == {"pretrained_model_name_or_path": str(file.parent), "gguf_file": "tiny.gguf"}
        assert gguf.GGUFReader(str(file)) is open_gguf(file)
        llama = gguf.MODEL_ARCH.LLAMA
        assert gguf.get_tensor_name_map(llama, 2) is gguf.get_tensor_name_map(llama, 2)
        assert gguf.get_tensor_name_map(llama, 2).mapping == table(llama, 2).mapping
        raise RuntimeError
    assert gguf.GGUFReader is usual and gguf.get_tensor_name_map is table


def test_a_damaged_file_is_not_remembered(file):
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        open_gguf(file)
    file.write_bytes(whole)
    assert open_gguf(file).tensors
