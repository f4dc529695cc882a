"""What -resume repeats: the table of docs/running.md, from stub runs of real Nextflow."""

import shutil
from collections import Counter

import pytest

from launcher import ROOT, TINY_SCANS, run, tasks, write_tiny_cohort

pytestmark = pytest.mark.pipeline
FOLDS = 3
COHORT = {"PACK_COHORT": 1}
TRAINING = {"TRAIN_CLASSIFIER": FOLDS, "TRAIN_SIMULATOR": FOLDS}
MAPS = {"MAP_JACOBIANS": FOLDS, "MAP_SALIENCY": FOLDS}
SUMMARY = {"COMPARE_GROUPS": 1, "WRITE_REPORT": 1}
ALL = (
    {"CHECK_COHORT": 1, "PREPARE_TEMPLATES": 1, "EXTRACT_BRAIN": TINY_SCANS, "ALIGN_AFFINE": TINY_SCANS}
    | COHORT | TRAINING | MAPS | SUMMARY
)  # fmt: skip


@pytest.fixture
def finished(tmp_path):
    """A finished run in a folder of its own, and how to repeat it."""
    samplesheet = write_tiny_cohort(tmp_path)

    def resume(*arguments, **environment):
        result = run(
            tmp_path, "-stub-run", "-resume", "--input", samplesheet, "--outdir", tmp_path / "out",
            "--folds", FOLDS, *arguments, **environment,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        found = tasks(tmp_path / "out")
        return [Counter(name for name, status in found if status == wanted) for wanted in ("CACHED", "COMPLETED")]

    assert resume() == [{}, ALL]
    return tmp_path, resume


def test_nothing_changed_runs_nothing(finished):
    _, resume = finished
    assert resume() == [ALL, {}]


def test_one_scan_more_repeats_no_other_scan(finished):
    folder, resume = finished
    (folder / "more").mkdir()
    write_tiny_cohort(folder / "more", TINY_SCANS + 1)
    with (folder / "cohort.csv").open("a") as sheet:
        sheet.write(f"{TINY_SCANS},more/{TINY_SCANS}.nii.gz,case\n")
    cached, repeated = resume()
    assert cached == {"PREPARE_TEMPLATES": 1, "EXTRACT_BRAIN": TINY_SCANS, "ALIGN_AFFINE": TINY_SCANS}
    assert repeated == {"CHECK_COHORT": 1, "EXTRACT_BRAIN": 1, "ALIGN_AFFINE": 1} | COHORT | TRAINING | MAPS | SUMMARY


@pytest.mark.parametrize(
    ("setting", "repeated"),
    [
        (("--classifier.epochs", 7), TRAINING | MAPS | SUMMARY),
        (("--simulator.steps", 7), {"TRAIN_SIMULATOR": FOLDS, "MAP_JACOBIANS": FOLDS} | SUMMARY),
    ],
)
def test_a_setting_repeats_only_what_it_touches(finished, setting, repeated):
    _, resume = finished
    assert resume(*setting) == [{name: ALL[name] for name in ALL.keys() - repeated.keys()}, repeated]


def test_changed_code_repeats_only_the_stages_that_use_it(finished):
    folder, resume = finished
    shutil.copytree(ROOT / "src", folder / "src")
    saliency = folder / "src" / "counterwarp" / "explain" / "saliency.py"
    saliency.write_text(saliency.read_text() + "# changed\n")
    repeated = {"MAP_SALIENCY": FOLDS} | SUMMARY
    cached = {name: ALL[name] for name in ALL.keys() - repeated.keys()}
    assert resume(PYTHONPATH=str(folder / "src")) == [cached, repeated]
