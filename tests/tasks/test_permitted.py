"""Licences and languages: what is read from their words, and what [data] leaves out by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flantune.errors import ConfigError
from flantune.settings.config import DataSettings
from flantune.tasks.catalog import find_tasks
from flantune.tasks.languages import language_name
from flantune.tasks.licences import licence_use
from flantune.tasks.load import load_tasks
from flantune.tasks.permitted import (
    NO_LANGUAGE,
    NO_LICENCE,
    NOT_COMMERCIAL,
    OTHER_LANGUAGE,
    permitted,
    without_permission,
)
from flantune.tasks.shipped_files import collections
from flantune.types import Task

RTE, TRANSLATION = find_tasks("flan2021")[0], next(t for t in find_tasks("flan2021") if t.name == "wmt16_deen")


@pytest.mark.parametrize(
    "licence",
    [
        "CC0", "CC0 1.0", "cc-by-4.0", "CC BY-SA 3.0", "CC_BY_4.0", "MIT", "The MIT License", "Apache 2.0",
        "BSD 3-Clause",        "GPL 3.0", "Public Domain", "LibriVox: Public Domain (https://librivox.org/pages/public-domain/)",
        "CC BY-SA; GNU Free Documentation 2.0", "CC BY-SA 4.0 (its card says MIT)", "AFL 3.0", "CDLA Permissive 2.0",
        "Apache-2.0, as the dataset card states", "free for any use, with acknowledgment", "odc-by",
    ],
)  # fmt: skip
def test_licences_that_allow_commercial_use(licence: str) -> None:
    assert licence_use(licence) == "commercial"


@pytest.mark.parametrize(
    "licence",
    ["CC BY-NC 4.0", "cc-by-nc-sa-4.0", "CC BY-NC-ND 4.0", "for non-commercial research",
     "not stated; for research use", "CC BY-SA 4.0; MSR-LA; RACE license; Apache",
     "Quora's terms of service; not for commercial use"],
)  # fmt: skip
def test_licences_that_forbid_it(licence: str) -> None:
    assert licence_use(licence) == "non-commercial"


@pytest.mark.parametrize(
    "licence",
    ["", "Unknown", "not stated", "other", "CC BY-ND 4.0", "Yelp's terms of use", "openrail", "by agreement",
     "Dedicated License (https://example.org/apache/LICENSE)", "CC BY-SA 4.0, Apache-2.0 and others, by the source",
     "CC0-1.0 (the packaging; the web texts keep their own)", "ask the MIT group", "permit", "submit a form"],
)  # fmt: skip
def test_what_is_not_known_to_allow_it(licence: str) -> None:
    assert licence_use(licence) == "unknown"


def test_names_of_languages() -> None:
    assert [language_name(one) for one in ("de", "DE", "de-AT", "zh_Hant", "german", " Central  Khmer ", "khmer")] == [
        "German", "German", "German", "Chinese", "German", "Central Khmer", "Central Khmer",
    ]  # fmt: skip


def tasks(**licences: str) -> list[Task]:
    return [replace(RTE, name=name, licence=licence) for name, licence in licences.items()]


def test_only_what_is_known_to_be_free_is_left() -> None:
    given = tasks(free="MIT", bound="CC BY-NC 4.0", silent="not stated")
    data = DataSettings(licences="commercial")
    assert [task.name for task in permitted(given, data)] == ["free"]
    assert without_permission(given, data) == {"bound": NOT_COMMERCIAL, "silent": NO_LICENCE}
    assert without_permission(given, DataSettings()) == {}


def test_languages_are_all_or_none() -> None:
    silent = replace(RTE, name="silent", languages=())
    given = [RTE, TRANSLATION, silent]
    assert without_permission(given, DataSettings(languages=("en",))) == {
        TRANSLATION.name: OTHER_LANGUAGE,
        "silent": NO_LANGUAGE,
    }
    assert without_permission(given, DataSettings(languages=("English", "de"))) == {"silent": NO_LANGUAGE}


def test_nothing_left_is_an_error_that_counts_the_reasons() -> None:
    with pytest.raises(ConfigError, match="2 × nothing says that its licence") as caught:
        permitted(tasks(one="not stated", other=""), DataSettings(licences="commercial"))
    assert "tasks list" in caught.value.hint


def test_every_shipped_task_states_licence_and_languages() -> None:
    for task in find_tasks(*collections()):
        assert task.licence and task.languages, task.name
        assert task.languages[0] == "English"


def test_the_collection_is_narrowed_by_settings() -> None:
    free = load_tasks(DataSettings(collection=("flan2021",), licences="commercial"), root=Path())
    assert 20 < len(free) < 70 and all(licence_use(task.licence) == "commercial" for task in free)
    english = load_tasks(DataSettings(collection=("flan2021",), languages=("English",)), root=Path())
    assert {"rte", "wmt16_deen"} & {task.name for task in english} == {"rte"}
