"""A run of two case groups: networks of all groups once, everything that is about one of them in its own folder."""

import json

import pytest

from launcher import ROOT, run, tasks, write_tiny_cohort

pytestmark = pytest.mark.pipeline
SCANS, FOLDS, TARGETS = 9, 3, ("MCI", "AD")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    where = tmp_path_factory.mktemp("run")
    cohort = write_tiny_cohort(where, SCANS, ("CN", *TARGETS))
    groups = ("--case", "MCI,AD", "--control", "CN")
    result = run(where, "-stub-run", "--input", cohort, "--outdir", where / "out", "--folds", FOLDS, *groups)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "target-*/report.html" in result.stdout
    return where / "out"


def test_networks_are_trained_once_and_explained_for_each_group(finished):
    names = [name for name, _ in tasks(finished)]
    each = {"MAP_JACOBIANS": FOLDS, "MAP_SALIENCY": FOLDS, "COMPARE_GROUPS": 1, "WRITE_REPORT": 1}
    once = {"EXTRACT_BRAIN": SCANS, "PACK_COHORT": 1, "TRAIN_CLASSIFIER": FOLDS, "TRAIN_SIMULATOR": FOLDS}
    for name, count in (once | {name: len(TARGETS) * count for name, count in each.items()}).items():
        assert names.count(name) == count, name


def test_every_group_has_a_folder_with_its_products(finished):
    record = json.loads((finished / "pipeline_info/check/check_cohort.json").read_text(encoding="utf-8"))
    assert record["case"] == list(TARGETS)
    for path in (
        "sub-0/warps/sub-0_space-MNI152_desc-inject_logjacobian.nii.gz",
        "sub-0/saliency/sub-0_space-MNI152_desc-gradient_saliency.nii.gz",
        "models/fold-0/explanations_fold-0_chunk-0.csv",
        "models/fold-0/saliency_fold-0.json",
        "group",
        "report.html",
        "evaluation.json",
    ):
        for target in TARGETS:
            assert (finished / f"target-{target}" / path).exists(), path
    for path in ("sub-0/anat", "models/fold-2/classifier", "models/fold-2/simulator"):
        assert (finished / path).exists(), path
    for path in ("sub-0/warps", "group", "report.html"):
        assert not (finished / path).exists(), path


def test_a_classifier_of_ones_own_with_several_groups_stops_before_any_task(tiny_cohort, tmp_path):
    given = ("--classifier", ROOT / "main.nf", "--case", "MCI,AD", "--control", "CN")
    result = run(tmp_path, "-stub-run", "--input", tiny_cohort, "--outdir", tmp_path / "out", *given)
    assert result.returncode != 0
    assert "a classifier of your own knows one. Name one with --case." in result.stdout + result.stderr
    assert not list(tmp_path.glob("work/*/*/.command.sh"))
