"""Datasets in promptsource's templates as tasks: made-up folders here, the authors' where they are at hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from flantune.errors import ConfigError, SourceError, TaskError
from flantune.mixture.mixture import Mixture
from flantune.mixture.rates import quotas
from flantune.settings.config import DataSettings, MixtureSettings
from flantune.settings.promptsource import PromptsourceSettings
from flantune.tasks.load import folder_notes, load_tasks
from flantune.tasks.prepare import prepare_task
from flantune.tasks.promptsource import digest_of, load_promptsource
from flantune.tasks.sources.promptsource import find_datasets, read_template_file
from flantune.tasks.t_zero import MIXTURES, facts, prompt_name

from .conftest import REAL_DATA

REAL = REAL_DATA / "flan2022"
TEMPLATES = REAL / "promptsource/templates"
needs_real_files = pytest.mark.skipif(not TEMPLATES.is_dir(), reason="no real data here")

FILE = """
dataset: facts
templates:
  0a: !Template
    answer_choices: no ||| yes
    id: 0a
    jinja: "Is it true that {{claim}}? ||| {{answer_choices[label]}}"
    metadata: !TemplateMetadata
      choices_in_prompt: false
      languages:
      - en
      metrics:
      - Accuracy
      original_task: true
    name: is it
    reference: ''
  0b: !Template
    answer_choices: null
    id: 0b
    jinja: "{% if label == 1 %}Say what is true. ||| {{claim}}{% endif %}"
    metadata: !TemplateMetadata
      choices_in_prompt: null
      metrics: null
      original_task: false
    name: say
    reference: ''
    task_template: true
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / "templates/facts/templates.yaml", FILE)
    write(tmp_path / "templates/other/small/templates.yaml", FILE.replace("is it", "is it so"))
    rows = [{"claim": f"{at} is even", "label": int(at % 2 == 0)} for at in range(20)]
    write(tmp_path / "mirror/facts/default/train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write(tmp_path / "mirror/facts/default/validation.jsonl", "".join(json.dumps(row) + "\n" for row in rows[:6]))
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def load(home: Path, **settings: object):
    return load_promptsource(PromptsourceSettings(folder="templates", **settings), root=home)


def prepared(home: Path, **settings: object):
    data = DataSettings(promptsource={"folder": "templates", **settings}, mirror="mirror")
    return [prepare_task(task, cache=home / "cache") for task in load_tasks(data, root=home)]


def test_a_file_is_read_as_its_authors_write_it(home: Path):
    one, other = read_template_file(home / "templates/facts/templates.yaml")
    assert (one.name, one.answer_choices, one.is_original, one.metrics) == ("is it", "no ||| yes", True, ("Accuracy",))
    assert one.languages == ("en",) and other.answer_choices == "" and not other.is_original


def test_a_data_set_is_a_task_with_its_templates(home: Path):
    (task,) = prepared(home, train=["facts"])
    assert (task.task.name, task.task.kind, task.task.metrics) == ("facts", "classification", ("accuracy",))
    assert [(one.name, one.is_inverted) for one in task.task.templates] == [("is it", False), ("say", True)]
    assert {role: len(store) for role, store in task.stores.items()} == {"train": 20, "dev": 6}
    assert task.stores["train"][1].references == ("no",)


def test_templates_that_show_choices_are_known_by_their_authors_word(home: Path):
    path = home / "templates/facts/templates.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("choices_in_prompt: null", "choices_in_prompt: true"))
    (task,) = load(home, train=["facts"])
    assert [one.shows_options for one in task.templates] == [False, True]


def test_measured_data_sets_have_their_scored_templates_alone(home: Path):
    (task,) = load(home, measure=["facts"])
    assert dict(task.splits) == {"test": "validation"} and [one.name for one in task.templates] == ["is it"]


def test_a_template_keeps_its_share_of_draws_though_it_asks_half_of_the_rows(home: Path):
    mixture = Mixture(prepared(home, train=["facts"]), seed=0, settings=MixtureSettings(rates="per-template"))
    prompts = mixture.block(0, mixture.cycle * 30)
    said = [prompt.targets for prompt in prompts if prompt.template == "say"]
    assert abs(len(said) / len(prompts) - 0.5) < 0.06
    assert {*said} == {f"{at} is even" for at in range(0, 20, 2)}
    assert [mixture[at] for at in range(50)] == prompts[:50]


def test_a_template_that_asks_no_row_is_told_by_its_name(home: Path):
    path = home / "templates/facts/templates.yaml"
    path.write_text(path.read_text().replace("label == 1", "label == 7"))
    mixture = Mixture(prepared(home, train=["facts"]), seed=0)
    with pytest.raises(Exception, match="facts/say: the template asks none"):
        mixture.block(0, 40)
    left = Mixture(prepared(home, train=["facts"], exclude=["facts/say"]), seed=0)
    assert {prompt.template for prompt in left.block(0, 40)} == {"is it"}


def test_data_sets_of_shipped_tasks_have_their_place_and_licence(home: Path):
    write(home / "templates/glue/mrpc/templates.yaml", FILE)
    (task,) = load(home, train=["glue/mrpc"])
    assert str(task.source.hub) == "nyu-mll/glue:mrpc" and task.licence == "Microsoft Research licence"
    (task,) = load(home, train=["glue/mrpc"], hub={"glue": "me/glue"})
    assert str(task.source.hub) == "me/glue:mrpc"


def test_a_task_a_template_shares_its_rows_on_disk(home: Path):
    tasks = prepared(home, train=["facts"], tasks="templates")
    assert [task.task.name for task in tasks] == ["facts_is_it", "facts_say"]
    assert len(list((home / "cache").iterdir())) == 1


def test_which_prompts_are_trained_on(home: Path):
    assert [len(load(home, train=["*"], prompts=which)[0].templates) for which in ("all", "original")] == [2, 1]
    assert [one.name for one in load(home, train=["other/small"], prompts="first-original")[0].templates] == [
        "is it so"
    ]


def test_fault_13_a_template_left_out_by_name_is_that_one_alone(home: Path):
    path = home / "templates/facts/templates.yaml"
    path.write_text(path.read_text().replace("name: is it", "name: say so"))
    (task,) = load(home, train=["facts"], exclude=["facts/say"])
    assert [one.name for one in task.templates] == ["say so"]


def test_names_can_be_told_from_those_of_other_tasks(home: Path):
    assert [task.name for task in load(home, train=["facts"], prefix="p3_")] == ["p3_facts"]


def test_rows_of_a_users_own(home: Path):
    write(home / "mine.csv", "words,truth\none is odd,true\ntwo is odd,false\n")
    write(
        home / "rows.toml",
        '[facts]\nsource = { files = { all = "mine.csv" } }\nsplits = { train = "all" }\nlicence = "CC0"\n'
        '[facts.columns]\nclaim = "words"\nlabel = { column = "truth", map = { true = 1, false = 0 } }\n',
    )
    (task,) = prepared(home, train=["facts"], rows="rows.toml")
    assert [one.references for one in task.stores["train"]] == [("yes",), ("no",)] and task.task.licence == "CC0"
    write(home / "rows.toml", '[fact]\nsource = { files = { all = "mine.csv" } }\nsplits = { train = "all" }\n')
    with pytest.raises(ConfigError, match='rows of "fact", which is not used'):
        load(home, train=["facts"], rows="rows.toml")
    write(home / "rows.toml", '[facts]\nsource = { file = "mine.csv" }\nsplits = {}\ncolumn = 1\n')
    with pytest.raises(TaskError, match="column: unknown key"):
        load(home, train=["facts"], rows="rows.toml")


def test_fault_22_other_texts_than_those_of_the_digest_are_refused(home: Path):
    settings = PromptsourceSettings(folder="templates", train=["facts"])
    digest = digest_of(settings, root=home)
    assert len(load(home, train=["facts"], digest=digest[:12])) == 1
    path = home / "templates/facts/templates.yaml"
    path.write_text(path.read_text().replace("Is it true", "Is it so"))
    with pytest.raises(ConfigError, match="differ from those of digest"):
        load(home, train=["facts"], digest=digest[:12])
    data = DataSettings(promptsource=settings.model_dump())
    assert f"the templates' digest is {digest_of(settings, root=home)}" in next(folder_notes(data, root=home))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("templates: [", "is not YAML"),
        ("- a", 'has no "templates"'),
        ("templates: {}", 'has no "templates"'),
        ("templates: {a: 1}", "the template a is not a mapping"),
        ("templates: {a: {name: x}}", "should have texts"),
        ("templates: {a: {jinja: x}}", "has no name"),
        ("templates: {a: {jinja: x, name: n}, b: {jinja: y, name: n}}", 'two templates named "n"'),
        ("templates: {a: !!python/object/apply:os.system [ls]}", "is not YAML"),
    ],
)
def test_a_file_that_is_something_else(tmp_path: Path, text: str, said: str):
    write(tmp_path / "templates.yaml", text)
    with pytest.raises(SourceError, match=said):
        read_template_file(tmp_path / "templates.yaml")


def test_a_text_that_is_no_jinja_is_told_with_its_file_and_name(home: Path):
    path = home / "templates/facts/templates.yaml"
    path.write_text(path.read_text().replace("{% endif %}", ""))
    with pytest.raises(TaskError, match=r'templates.yaml: the template "say": line 1 is not Jinja'):
        load(home, train=["facts"])


def test_what_is_not_there_is_told_with_what_is(home: Path):
    with pytest.raises(SourceError, match='has no templates of "fact"\nhint: did you mean "facts"'):
        load(home, train=["fact"])
    with pytest.raises(SourceError, match="has no templates of promptsource"):
        find_datasets(home / "mirror", ("facts",))
    with pytest.raises(ConfigError, match='no template "facts/sai"\nhint: did you mean "facts/say"'):
        load(home, train=["facts"], exclude=["facts/sai"])
    with pytest.raises(ConfigError, match="facts is trained on and measured"):
        load(home, train=["facts"], measure=["facts"])


@needs_real_files
def test_fault_12_t0s_mixtures_are_its_authors_by_the_rule():
    table = {row["task"]: row for row in csv.DictReader((REAL / "t_zero/mixtures.tsv").open(), delimiter="\t")}
    found = {mixture: rates_of(mixture) for mixture in MIXTURES}
    assert [len(one) for one in found.values()] == [313, 392, 464]
    assert [sum(one.values()) for one in found.values()] == [17_277_798, 20_672_671, 23_118_591]
    assert found["t0++"] == {name: int(row["rate"]) for name, row in table.items()}
    for which, column in (("original", "original_task"), ("first-original", "first_original")):
        assert {*rates_of("t0++", which)} == {name for name, row in table.items() if row[column] == "1"}


def rates_of(mixture: str, prompts: str = "all") -> dict[str, int]:
    """What each prompted dataset of T0 weighs, by the rule of the mixture and the sizes that T0 counts with."""
    settings = PromptsourceSettings(folder=TEMPLATES, mixture=mixture, prompts=prompts)
    tasks = [task for task in load_promptsource(settings, root=Path()) if "train" in task.splits]
    names = [Path(task.origin).parent.relative_to(TEMPLATES).as_posix() for task in tasks]
    counts = [len(task.templates) for task in tasks]
    sizes = [facts().rows(name) for name in names]
    found = zip(names, tasks, quotas(sizes, max_rate=500_000, rates="per-template", templates=counts), strict=True)
    return {
        prompt_name(name, one.name): quota // len(task.templates)
        for name, task, quota in found
        for one in task.templates
    }


@needs_real_files
def test_the_facts_are_t0s_table():
    rows = list(csv.DictReader((REAL / "t_zero/datasets.csv").open()))
    sizes = {f"{row['HF_name']}/{row['subset']}".rstrip("/"): row["train_size"] for row in rows if row["do_train"]}
    assert {name: str(facts().rows(name)) for name in facts().datasets("t0++")} == sizes
    measured = {f"{row['HF_name']}/{row['subset']}".rstrip("/") for row in rows if "BASE" in row["do_eval"]}
    assert {*facts().measured} == measured


@needs_real_files
def test_t0_sans_flan_is_193_prompts():
    rows = csv.DictReader((REAL / "flan2022/p3_tasks.tsv").open(), delimiter="\t")
    names = {row["p3_task"] for row in rows if row["in_t0_sf"] == "1"}
    tasks = load_promptsource(PromptsourceSettings(folder=TEMPLATES, mixture="t0-sf", tasks="templates"), root=Path())
    assert len(tasks) == 193 and {task.name for task in tasks} == names


@needs_real_files
@pytest.mark.parametrize(("mixture", "trained", "measured"), [("t0", 38, 11), ("t0+", 48, 10), ("t0++", 54, 7)])
def test_t0_by_name_trains_on_its_data_sets_and_measures_the_rest(mixture: str, trained: int, measured: int):
    tasks = load_promptsource(PromptsourceSettings(folder=TEMPLATES, mixture=mixture), root=Path())
    assert [sum(role in task.splits for task in tasks) for role in ("train", "test")] == [trained, measured]
    for which in ("original", "first-original"):
        settings = PromptsourceSettings(folder=TEMPLATES, mixture=mixture, prompts=which)
        kept = [task for task in load_promptsource(settings, root=Path()) if "train" in task.splits]
        count = sum(len(task.templates) for task in kept)
        if mixture == "t0":
            assert count == {"original": 222, "first-original": 35}[which]


@needs_real_files
def test_every_template_of_promptsource_can_be_read():
    settings = PromptsourceSettings(folder=TEMPLATES, train=["*"])
    assert sum(len(task.templates) for task in load_promptsource(settings, root=Path())) == 2_085
