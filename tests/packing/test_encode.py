from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from flantune.errors import ModelError
from flantune.models.scratch import train_tokenizer
from flantune.packing.budget import cut_middle
from flantune.packing.encode import Codec, border_mismatches
from flantune.prompts.layout import Layout
from flantune.types import Exemplar, Prompt

TEXTS = ["Is the sky blue? yes", "Does the premise entail the hypothesis? no", "sort these words: b a c"] * 5
TOKENIZER = train_tokenizer(TEXTS, 320)
EOS = TOKENIZER.eos_token_id


def codec(family="decoder-only", *, tokenizer=TOKENIZER, layout=None, inputs=64, targets=16, row=None) -> Codec:
    return Codec(
        tokenizer=tokenizer, family=family, layout=layout or Layout(), max_input_tokens=inputs,
        max_target_tokens=targets, max_row_tokens=row,
    )  # fmt: skip


def with_bos(*, always: bool) -> PreTrainedTokenizerFast:
    """Llama-like (``always``): BOS put before every text by default; else it has one but does not put it."""
    backend = train_tokenizer(TEXTS, 320).backend_tokenizer
    backend.add_special_tokens(["<s>"])
    if always:
        token = backend.token_to_id("<s>")
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", token)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def count_tokens(made: Codec, text: str) -> int:
    return len(made.framing.text_ids([text])[0])


def encode_one(made: Codec, prompt: Prompt, continuations="target"):
    return made.encode_prompts([prompt], continuations=continuations)[0]


def test_trap_09_bos_once_where_the_tokenizer_puts_one(make_prompt):
    tokenizer = with_bos(always=True)
    bos = tokenizer.bos_token_id
    encoded = encode_one(codec(tokenizer=tokenizer), make_prompt("<s>Is <s> it?"))
    assert encoded.inputs[0] == bos
    assert list(encoded.inputs).count(bos) == 1
    assert bos not in encoded.targets[0]


def test_trap_09_no_bos_where_the_tokenizer_puts_none(make_prompt):
    tokenizer = with_bos(always=False)
    encoded = encode_one(codec(tokenizer=tokenizer), make_prompt())
    assert tokenizer.bos_token_id not in encoded.inputs


def test_trap_09_no_bos_for_an_encoder(make_prompt):
    tokenizer = with_bos(always=True)
    assert tokenizer.bos_token_id not in encode_one(codec("encoder-decoder", tokenizer=tokenizer), make_prompt()).inputs


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_trap_09_eos_exactly_once_at_each_targets_end(family, make_prompt):
    prompt = make_prompt("Say </s> or <pad>", "it is </s> then", options=("a </s>", "b"))
    for continuations in ("target", "options"):
        encoded = encode_one(codec(family), prompt, continuations)
        for target in encoded.targets:
            assert target[-1] == EOS
            assert list(target).count(EOS) == 1
        assert list(encoded.inputs).count(EOS) == (1 if family == "encoder-decoder" else 0)
        assert TOKENIZER.pad_token_id not in encoded.inputs


def test_trap_09_the_border_is_where_the_separator_ends(make_prompt):
    encoded = encode_one(codec(), make_prompt("Is it?", "yes"))
    assert TOKENIZER.decode(encoded.inputs) == "Is it?\n"
    assert TOKENIZER.decode(encoded.targets[0][:-1]) == "yes"
    assert TOKENIZER.decode(encode_one(codec("encoder-decoder"), make_prompt("Is it?")).inputs) == "Is it?</s>"


def test_trap_09_border_mismatches_are_counted(make_prompt):
    prompts = [make_prompt("sort these words", "b"), make_prompt("Is it? ", "the")]
    assert border_mismatches(codec(), prompts) == 0.0
    glued = codec(layout=Layout(target_separator=""))
    assert border_mismatches(glued, [make_prompt("the hypo", "thesis"), make_prompt("is it?\n", "yes")]) == 0.5
    assert border_mismatches(glued, []) == 0.0


def test_the_eos_word_in_a_separator_is_the_eos_token(make_prompt):
    made = codec(layout=Layout(target_separator="<eos>", exemplar_separator="\n<eos>"))
    encoded = encode_one(made, make_prompt("Is <eos> it?", "yes", shots=1))
    assert [token == EOS for token in encoded.inputs].count(True) == 3
    assert encoded.inputs[-1] == EOS
    assert TOKENIZER.decode(encoded.inputs) == "Is 0 odd?</s>no\n</s>Is <eos> it?</s>"


def test_options_become_continuations(make_prompt):
    encoded = encode_one(codec(), make_prompt(options=("yes", "no", "it depends")), "options")
    assert [TOKENIZER.decode(target) for target in encoded.targets] == ["yes</s>", "no</s>", "it depends</s>"]
    assert encode_one(codec(), make_prompt(), "none").targets == ()


def test_exemplars_go_first_from_the_end(make_prompt):
    made = codec(inputs=40)
    encoded = made.encode_prompts([make_prompt(shots=6), make_prompt(shots=1)], continuations="target")
    kept = TOKENIZER.decode(encoded[0].inputs)
    assert len(encoded[0].inputs) <= 40
    assert kept.startswith("Is 0 odd?\nno\n\nIs 1") and kept.endswith("Is the sky blue?\n")
    assert encoded.counts.exemplars_dropped == 6 - kept.count("odd")
    assert 0 < kept.count("odd") < 6
    assert encoded.counts.inputs_shortened == 0
    assert encoded.each[1].exemplars_dropped == 0


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_then_the_middle_of_the_inputs_goes(family, make_prompt):
    text = "Read this. " + "words " * 60 + "Is it blue? OPTIONS:\n- yes\n- no"
    encoded = codec(family, inputs=45).encode_prompts([make_prompt(text, shots=2)], continuations="target")
    kept = TOKENIZER.decode(encoded[0].inputs, skip_special_tokens=True)
    assert len(encoded[0].inputs) == 45
    assert kept.startswith("Read this.") and kept.rstrip("\n").endswith("OPTIONS:\n- yes\n- no")
    assert encoded.counts.inputs_shortened == 1
    assert encoded.counts.exemplars_dropped == 2


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_trap_01_targets_are_never_cut(family, make_prompt):
    long, short = "yes " * 40, "yes"
    encoded = codec(family).encode_prompts([make_prompt(targets=long), make_prompt()], continuations="target")
    assert encoded[0] is None
    assert encoded.counts.prompts_dropped == 1 and encoded.counts.prompts == 1
    assert TOKENIZER.decode(encoded[1].targets[0]) == short + "</s>"


def test_trap_01_long_inputs_make_room_for_the_target(make_prompt):
    target = "yes " * 6
    encoded = encode_one(codec(row=40), make_prompt("words " * 60, target))
    assert TOKENIZER.decode(encoded.targets[0]) == target + "</s>"
    assert len(encoded.inputs) + len(encoded.targets[0]) == 40


@settings(max_examples=40)
@given(
    inputs=st.text(max_size=60),
    targets=st.text(max_size=12),
    family=st.sampled_from(["decoder-only", "encoder-decoder"]),
    limit=st.integers(4, 40),
)
def test_what_is_kept_is_whole_and_within_bounds(inputs, targets, family, limit):
    inputs, targets = (text.encode("utf-8", "replace").decode() for text in (inputs, targets))
    shown = (Exemplar(row=0, inputs="q", targets="a"),)
    prompt = Prompt(
        task="t", split="train", row=0, template="t", inputs=inputs, targets=targets, exemplars=shown
    )  # fmt: skip
    made = codec(family, inputs=limit, targets=limit, row=2 * limit)
    encoded = made.encode_prompts([prompt], continuations="target")
    if encoded[0] is None:
        assert count_tokens(made, targets) + 1 > limit
        assert encoded.counts.prompts_dropped == 1
        return
    assert len(encoded[0].inputs) <= limit
    assert len(encoded[0].targets[0]) == count_tokens(made, targets) + 1
    assert encoded.counts.input_tokens == len(encoded[0].inputs)
    assert encoded.counts.target_tokens == len(encoded[0].targets[0])
    if not encoded.counts.inputs_shortened and not encoded.counts.exemplars_dropped:
        left = "q\na\n\n" + inputs + ("\n" if family == "decoder-only" else "")
        assert list(encoded[0].inputs[: count_tokens(made, left)]) == made.framing.text_ids([left])[0]


def test_encoding_together_or_alone_is_the_same(make_prompt):
    prompts = [make_prompt("words " * k, shots=k % 3, options=("yes", "no")) for k in range(1, 30)]
    made = codec(inputs=30)
    together = made.encode_prompts(prompts, continuations="options")
    for prompt, encoded in zip(prompts, together, strict=True):
        alone = encode_one(made, prompt, "options")
        assert list(alone.inputs) == list(encoded.inputs)
        assert [list(t) for t in alone.targets] == [list(t) for t in encoded.targets]
    assert len(made.encode_prompts([], continuations="target")) == 0


def test_the_tokenizer_itself_is_not_changed(make_prompt):
    tokenizer = train_tokenizer(TEXTS, 320)
    tokenizer.backend_tokenizer.enable_truncation(5)
    before = tokenizer.backend_tokenizer.to_str()
    assert len(encode_one(codec(tokenizer=tokenizer), make_prompt("words " * 8)).inputs) > 5
    assert tokenizer.backend_tokenizer.to_str() == before


def test_a_tokenizer_without_eos_is_refused(make_prompt):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(TEXTS, 320).backend_tokenizer)
    with pytest.raises(ModelError, match="eos_token"):
        encode_one(codec(tokenizer=tokenizer), make_prompt())


@settings(max_examples=40)
@given(st.lists(st.integers(), max_size=50), st.integers(1, 60))
def test_cut_middle_keeps_both_ends(tokens, limit):
    kept = cut_middle(tokens, limit)
    assert len(kept) == min(len(tokens), limit)
    if len(tokens) > limit:
        head = limit // 3
        assert kept == tokens[:head] + tokens[len(tokens) - (limit - head) :]


def test_trap_09_eos_once_where_the_tokenizer_itself_adds_one(make_prompt):
    backend = train_tokenizer(TEXTS, 320).backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="<pad>")
    assert tokenizer("a").input_ids[-1] == EOS
    encoded = encode_one(codec("encoder-decoder", tokenizer=tokenizer), make_prompt())
    assert [list(ids).count(EOS) for ids in (encoded.inputs, *encoded.targets)] == [1, 1]
    assert EOS not in encode_one(codec(tokenizer=tokenizer), make_prompt()).inputs


def test_a_tokenizer_without_a_rust_backend_gives_the_same(make_prompt):
    prompts = [make_prompt("Is </s> it?", "it is", shots=1), make_prompt()]
    slow = codec()
    slow.__dict__["_backend"] = None
    for left, right in zip(
        slow.encode_prompts(prompts, continuations="target"),
        codec().encode_prompts(prompts, continuations="target"),
        strict=True,
    ):
        assert list(left.inputs) == list(right.inputs)
        assert list(left.targets[0]) == list(right.targets[0])
    assert len(slow.encode_prompts([], continuations="target")) == 0
