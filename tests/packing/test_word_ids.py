"""Ids found word by word are those that the tokenizer finds, for every make and any text."""

from __future__ import annotations

import gzip
import json
import re
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.packing.made_tokenizers import ALL_MAKES, LLAMA3_SPLIT, MARK, TEXTS, byte_level, finished, unigram
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from flantune.packing.tokenize import TextTokenizer
from flantune.packing.words import UnknownWayError, python_pattern, word_ids

HUB = Path(__file__).parents[2] / "../shared/data/hub"
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CASED_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def composed(special):
    """As Pythia's: composed letters, and runs of blanks that are looked for first."""
    made = byte_level(special)
    made.normalizer = normalizers.NFC()
    made.add_tokens([AddedToken(" " * count, normalized=False) for count in range(24, 1, -1)])
    return made


def lower_cased(special):
    made = byte_level(special)
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    return made


def single_digits(special):
    """As SmolLM's."""
    made = byte_level(special)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return made


def blanks_then_marks(special):
    """As T5's in the newer form."""
    made = unigram(special, scheme="always")
    mark = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always")
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), mark])
    return made


def compatible(special):
    """Half-width and full-width signs are one, as for T5."""
    made = blanks_then_marks(special)
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    return made


MAKES = {
    **ALL_MAKES,
    "compatible characters, then marks": compatible,
    "composed, runs of blanks": composed,
    "lower-cased": lower_cased,
    "digit by digit": single_digits,
    "blanks, then marks": blanks_then_marks,
    "Qwen's pattern": lambda special: byte_level(special, split=QWEN_SPLIT),
    "a pattern of cases": lambda special: byte_level(special, split=CASED_SPLIT),
}
PLAIN = "".join(map(chr, range(32, 127))) + "\t\n\r"
texts = st.one_of(
    st.text(st.sampled_from(PLAIN), max_size=40),
    st.text(max_size=20),
    st.text(st.sampled_from("aB1² '’sſ\n\r.é–\u2028\u00a0\u0301\u2581ｆi\x1c"), max_size=30),
    st.lists(st.sampled_from([*" ".join(TEXTS[:5]).split(), "  ", "\n\n", "'s", "don't", "12345"]), max_size=12).map(
        " ".join
    ),
)


@pytest.fixture(scope="module", params=sorted(MAKES))
def tokenizer(request) -> TextTokenizer:
    special = [] if request.param.startswith("Word") else ["<unk>"]
    return TextTokenizer(finished(MAKES[request.param]([*special, "</s>"])))


def test_every_usual_make_is_known(tokenizer):
    assert tokenizer._word_ids is not None


@settings(max_examples=150)
@given(text=texts)
@example(text="")
@example(text="It's 12,345  of them:\r\n\r\n- a\n- b \n")
@example(text="I'Dſ don'T 'S")
@example(text="e\u0301 ﬁ ½ ² …")
@example(text="</s> <unk> \u2581a \ue001")
def test_ids_are_those_of_the_tokenizer(tokenizer, text):
    backend = tokenizer._strict if tokenizer._leaks else tokenizer._spelling
    expected = backend.encode(text, add_special_tokens=False).ids
    for _ in range(2):  # found, then remembered
        assert tokenizer._word_ids.ids(text) in (None, expected)
        assert tokenizer.data([text, "x", text])[2] == expected


@pytest.fixture(scope="module")
def real_texts() -> list[str]:
    """Fields of the first rows of each dataset there is, in several languages."""
    found = []
    for path in sorted(HUB.rglob("train.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as rows:
            found += ["\n".join(map(str, json.loads(row).values())) for row in islice(rows, 40)]
    return found


@pytest.mark.skipif(not HUB.is_dir(), reason="no real data beside the repository")
def test_ids_of_real_rows_are_those_of_the_tokenizer(tokenizer, real_texts):
    backend = tokenizer._strict if tokenizer._leaks else tokenizer._spelling
    expected = [encoding.ids for encoding in backend.encode_batch_fast(real_texts, add_special_tokens=False)]
    assert tokenizer.data(real_texts) == expected
    assert sum(tokenizer._word_ids.ids(text) is not None for text in real_texts) > 0.8 * len(real_texts) > 400


@settings(max_examples=100)
@given(parts=st.lists(texts, max_size=4))
@example(parts=["user\nIs it? ", "\nassistant\n", ""])
def test_between_control_words_too(tokenizer, parts):
    text = "</s>".join(parts)
    assert tokenizer.template([text, text]) == tokenizer._templates([text, text])
    guarded = tokenizer.guard(text) + "</s>x"
    assert tokenizer.template([guarded]) == tokenizer._templates([guarded])


@pytest.mark.parametrize("strips", ["lstrip", "rstrip", "single_word", "normalized"])
def test_control_words_that_change_their_neighbors_are_left_to_the_tokenizer(strips):
    made = byte_level(["</s>"])
    made.add_special_tokens([AddedToken("<end>", **{"normalized": False, strips: True})])
    tokenizer = TextTokenizer(finished(made))
    text = "a <end> b</s> x<end>y"
    assert tokenizer._word_ids is not None and tokenizer._between_controls(text) is None
    assert tokenizer.template([text]) == [made.encode(text, add_special_tokens=False).ids]


def test_a_chat_of_byte_level_tokenizers_is_found_word_by_word():
    made = byte_level(["<s>", "</s>"], split=QWEN_SPLIT)
    tokenizer = TextTokenizer(finished(made))
    text = "<s>user\nWhich boat?</s>\n<s>assistant\n"
    assert tokenizer._between_controls(text) == made.encode(text, add_special_tokens=False).ids


def test_plain_text_is_never_given_to_the_tokenizer(tokenizer, monkeypatch):
    monkeypatch.setattr("flantune.packing.tokenize._encode", lambda backend, texts: [[-1]] * len(texts))
    plain = "Which boat sails first? Zoë's, in Malmö – no. 1, “say” it’s 3.14;\n\n- yes\n- no"
    assert tokenizer.data([plain])[0] != [-1] and tokenizer.data(["数字"])[0] == [-1]


def test_added_words_are_left_to_the_tokenizer():
    words = word_ids(composed(["</s>"]))
    assert words.ids("two  blanks") is None and words.ids("two blanks") is not None


def test_of_all_words_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr("flantune.packing.words._MOST_WORDS", 5)
    made = byte_level(["</s>"])
    words = word_ids(made)
    for number in range(40):
        text = f"word{number} {'long' * 30}"
        assert words.ids(text) == made.encode(text, add_special_tokens=False).ids
    assert len(words._known) <= 5 and max(map(len, words._known)) <= 64


def _changed(**steps) -> Tokenizer:
    described = json.loads(byte_level(["</s>"]).to_str())
    for key, value in steps.items():
        section, _, name = key.partition("__")
        if name:
            described[section][name] = value
        else:
            described[section] = value
    return Tokenizer.from_str(json.dumps(described))


@pytest.mark.parametrize(
    "made",
    [
        _changed(model__dropout=0.1),
        _changed(pre_tokenizer={"type": "BertPreTokenizer"}),
        _changed(pre_tokenizer__add_prefix_space=True),
        _changed(pre_tokenizer={"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolated", "invert": False}),
        _changed(pre_tokenizer={"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed", "invert": False}),
        _changed(
            pre_tokenizer={"type": "Split", "pattern": {"Regex": r"\w+"}, "behavior": "Isolated", "invert": False}
        ),
        _changed(pre_tokenizer=None),
    ],
    ids=["drops merges", "Bert", "blank first", "text", "removed", "words", "none"],
)
def test_what_is_not_known_is_left_to_the_tokenizer(made):
    assert word_ids(made) is None
    tokenizer = TextTokenizer(finished(made))
    if json.loads(made.to_str())["model"]["dropout"] is None:
        assert tokenizer.data(["a word"]) == [made.encode("a word", add_special_tokens=False).ids]


def test_pieces_that_go_on_over_a_blank_are_left_to_the_tokenizer():
    """Without cuts, a piece of several words may be joined; then no word stands for itself."""
    vocabulary = {"<unk>": 0, MARK: 1, "a": 2, "b": 3, f"a{MARK}": 4, f"a{MARK}b": 5}
    made = Tokenizer(models.BPE(vocabulary, [("a", MARK), (f"a{MARK}", "b")], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="never", split=False)
    assert made.encode("a b").ids == [5] and word_ids(made) is None


@pytest.mark.parametrize("pattern", [LLAMA3_SPLIT, QWEN_SPLIT, CASED_SPLIT])
def test_patterns_are_read(pattern):
    assert "".join(re.findall(python_pattern(pattern, PLAIN), PLAIN)) == PLAIN


@pytest.mark.parametrize(
    "pattern", [r"\w+", r"^a", r"a$", r"(?<=a)b", r"[a&&b]", r"[a[b]]", r"a{1,3}+", r"\x41", r"\p{L"]
)
def test_patterns_of_uncertain_meaning_are_not(pattern):
    with pytest.raises(UnknownWayError):
        python_pattern(pattern, PLAIN)
