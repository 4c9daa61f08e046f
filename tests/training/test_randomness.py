from __future__ import annotations

import pytest
import torch
from tests.training.small import make_batches, make_lm

from flantune.models.forward import target_logprobs
from flantune.training.randomness import dropout, repeatable, seed_micro_batch


def draw(**at):
    seed_micro_batch(5, **at)
    return torch.rand(4).tolist()


def test_random_numbers_are_a_function_of_seed_step_and_micro_batch():
    assert draw(step=3, number=1) == draw(step=3, number=1)
    assert draw(step=3, number=1) != draw(step=3, number=2) != draw(step=4, number=1) != draw(step=1, number=3)


def test_the_callers_random_state_is_left_as_it_was():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with repeatable(torch.device("cpu")):
        draw(step=1, number=0)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_trap_11_backward_adds_up_in_one_order_whatever_the_threads():
    """Picking positions out of hidden states adds gradients up on the way back; threads must not race there."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        hidden = torch.randn(2048, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
        at = torch.randint(0, 40, (60_000,), generator=torch.Generator().manual_seed(1))
        found = []
        with repeatable(torch.device("cpu")):
            for _ in range(3):
                hidden.grad = None
                (hidden[at].float() * torch.linspace(0, 1, 60_000)[:, None]).sum().backward()
                found.append(hidden.grad.clone())
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gpt2", "t5"])
def test_dropout_reaches_every_layer_and_goes_again(architecture):
    lm = make_lm(architecture)
    pack = make_batches(lm).batch(0).packs[0]

    def score():
        seed_micro_batch(0, step=1, number=0)
        with torch.no_grad():
            return target_logprobs(lm, pack).logprobs

    plain = score()
    with dropout(lm.model, 0.0):
        assert torch.equal(score(), plain)
    with dropout(lm.model, 0.5):
        assert lm.model.training
        noisy = score()
        assert torch.equal(noisy, score())
        assert not torch.allclose(noisy, plain, atol=1e-2)
    assert not lm.model.training
    assert torch.equal(score(), plain)


def test_attention_dropout_that_layers_keep_for_themselves_is_set():
    lm = make_lm("llama")
    with dropout(lm.model, 0.25):
        assert [layer.self_attn.attention_dropout for layer in lm.model.model.layers] == [0.25, 0.25]
    assert [layer.self_attn.attention_dropout for layer in lm.model.model.layers] == [0.0, 0.0]
    assert lm.model.config.attention_dropout == 0.0
