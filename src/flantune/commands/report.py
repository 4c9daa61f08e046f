"""``flantune report``: the page of a run, a study or several runs side by side, and their figures as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flantune.errors import ConfigError
from flantune.report.figure_files import Look, result_plates, run_plates, write_figures
from flantune.report.page import write_report
from flantune.report.plates import Plate
from flantune.report.runs_page import read_runs, runs_plates, write_runs_page
from flantune.report.study_page import read_outcome, write_study_page
from flantune.report.study_plates import study_plates
from flantune.runs.files import read_results, read_run
from flantune.runs.folder import RunFolder
from flantune.studies.folder import StudyFolder
from flantune.system.files import slug


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What was written: a page, unless only figures were requested, and files of figures."""

    page: Path | None
    figures: tuple[Path, ...]


def report(
    folders: Sequence[Path], *, out: Path | None = None, figures: Path | None = None, look: Look | None = None
) -> Reported:
    """Writes the page of a run or a study, or one page over several runs; with a folder for figures, these as files.

    Args:
        folders: Run folders, or that of a study; with ``figures``, that of an evaluation, whose page is not changed.
        out: The page of several runs; None: ``reports/<their names>.html``.
        figures: Folder for figures.
        look: The formats, and whether for a light or dark background.

    Raises:
        ConfigError: The folders do not go together.
        FlantuneError: A folder is not a run, or one of its files is damaged.
    """
    if len(folders) > 1:
        runs = read_runs(folders)
        page: Path | None = write_runs_page(out or page_for(folders), runs)
        plates: Sequence[Plate] = runs_plates(runs) if figures else ()
    elif out is not None:
        hint = "remove --out: the report of a run or a study is in its folder"
        raise ConfigError("--out is only for a report over several runs", where=str(folders[0]), hint=hint)
    elif StudyFolder(folders[0]).plan.is_file():
        page = write_study_page(folders[0])
        plates = study_plates(read_outcome(folders[0])) if figures else ()
    elif figures and _is_evaluation(folders[0]):
        page, plates = None, result_plates(read_results(folders[0]))
    else:
        page = write_report(folders[0])
        plates = run_plates(read_run(folders[0])) if figures else ()
    written = write_figures(plates, figures, look or Look()) if figures else []
    return Reported(page=page, figures=tuple(written))


def page_for(folders: Sequence[Path]) -> Path:
    """The default path of a page of several runs.

    >>> page_for([Path("runs/first"), Path("runs/second")]).as_posix()
    'reports/first+second.html'
    """
    return Path("reports") / f"{slug(*(folder.resolve().name for folder in folders))}.html"


def _is_evaluation(folder: Path) -> bool:
    return RunFolder(folder).results.is_file() and not RunFolder(folder).kept_settings.is_file()
