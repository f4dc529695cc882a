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


def documented():
    """The table of docs/running.md: what changed -> (tasks cached, tasks run)."""
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    lines = page.partition("| changed |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {changed: (int(cached), int(repeated)) for changed, _, _, cached, repeated in rows}


@pytest.fixture(scope="module")
def resume(tmp_path_factory):
    """A finished run; calling it runs the pipeline again and counts the (cached, repeated) tasks of every process.

    The sums must be those of a row of the documentation.
    """
    folder = tmp_path_factory.mktemp("resume")
    write_tiny_cohort(folder)

    def again(row, *arguments, samplesheet="cohort.csv", **environment):
        result = run(
            folder, "-stub-run", "-resume", "--input", folder / samplesheet, "--outdir", folder / "out",
            "--folds", FOLDS, *arguments, **environment,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        found = tasks(folder / "out")
        counts = [Counter(name for name, status in found if status == wanted) for wanted in ("CACHED", "COMPLETED")]
        assert documented()[row] == tuple(count.total() for count in counts)
        return tuple(counts)

    again.folder = folder
    assert again("first run") == ({}, ALL)
    return again


def without(repeated):
    return {name: count for name, count in ALL.items() if name not in repeated}


def test_nothing_changed_runs_nothing(resume):
    assert resume("nothing") == (ALL, {})


def test_one_scan_more_repeats_no_other_scan(resume):
    (resume.folder / "more").mkdir()
    write_tiny_cohort(resume.folder / "more", TINY_SCANS + 1)
    sheet = (resume.folder / "cohort.csv").read_text(encoding="utf-8") + f"{TINY_SCANS},more/{TINY_SCANS}.nii.gz,case\n"
    (resume.folder / "more.csv").write_text(sheet, encoding="utf-8")
    once = {"CHECK_COHORT": 1, "EXTRACT_BRAIN": 1, "ALIGN_AFFINE": 1}
    assert resume("one scan added", samplesheet="more.csv") == (
        {"PREPARE_TEMPLATES": 1, "EXTRACT_BRAIN": TINY_SCANS, "ALIGN_AFFINE": TINY_SCANS},
        once | COHORT | TRAINING | MAPS | SUMMARY,
    )


@pytest.mark.parametrize(
    ("setting", "repeated"),
    [
        ("--classifier.epochs", TRAINING | MAPS | SUMMARY),
        ("--simulator.steps", {"TRAIN_SIMULATOR": FOLDS, "MAP_JACOBIANS": FOLDS} | SUMMARY),
    ],
)
def test_a_setting_repeats_only_what_it_touches(resume, setting, repeated):
    assert resume(f"`{setting}`", setting, 7) == (without(repeated), repeated)


def test_changed_code_repeats_only_the_stages_that_use_it(resume):
    shutil.copytree(ROOT / "src", resume.folder / "src")
    saliency = resume.folder / "src" / "counterwarp" / "explain" / "saliency.py"
    saliency.write_text(saliency.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    repeated = {"MAP_SALIENCY": FOLDS} | SUMMARY
    counts = resume("code of the saliency maps", PYTHONPATH=str(resume.folder / "src"))
    assert counts == (without(repeated), repeated)
