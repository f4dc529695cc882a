"""The pipeline's wiring (stub runs of real Nextflow) and its refusals."""

import json

import pandas as pd
import pytest

from launcher import ROOT, TINY_SCANS, run, tasks

pytestmark = pytest.mark.pipeline
FOLDS = 3


@pytest.fixture(scope="module")
def cohort(tiny_cohort):
    return tiny_cohort


def stub_run(where, *arguments, **environment):
    return run(where, "-stub-run", *arguments, **environment)


@pytest.fixture(scope="module")
def finished(cohort, tmp_path_factory):
    where = tmp_path_factory.mktemp("run")
    result = stub_run(where, "--input", cohort, "--outdir", where / "out", "--folds", FOLDS)
    assert result.returncode == 0, result.stdout + result.stderr
    return where


def test_every_stage_runs_once_per_scan_and_fold(finished):
    names = [name for name, _ in tasks(finished / "out")]
    expected = {
        "CHECK_COHORT": 1, "PREPARE_TEMPLATES": 1, "EXTRACT_BRAIN": TINY_SCANS, "ALIGN_AFFINE": TINY_SCANS,
        "PACK_COHORT": 1, "TRAIN_CLASSIFIER": FOLDS, "TRAIN_SIMULATOR": FOLDS, "MAP_JACOBIANS": FOLDS,
        "MAP_SALIENCY": FOLDS, "COMPARE_GROUPS": 1, "WRITE_REPORT": 1,
    }  # fmt: skip
    assert {name: names.count(name) for name in set(names)} == expected


def test_results_are_laid_out_as_bids_derivatives(finished):
    out = finished / "out"
    for path in (
        "sub-0/anat/sub-0_space-MNI152_desc-preproc_T1w.nii.gz",
        "sub-0/figures/sub-0_desc-qc_mosaic.png",
        "sub-0/figures/sub-0_desc-qc_flicker.png",
        "pipeline_info/cohort/quality.html",
        "sub-0/warps/sub-0_space-MNI152_desc-inject_logjacobian.nii.gz",
        "models/fold-2/classifier",
        "models/fold-2/simulator",
        "pipeline_info/cohort/exclusions.csv",
        "report.html",
        "evaluation.json",
    ):
        assert (out / path).exists(), path


def test_parameters_are_recorded_and_repeat_the_run(finished, cohort):
    recorded = finished / "out" / "pipeline_info" / "params.json"
    parameters = json.loads(recorded.read_text(encoding="utf-8"))
    assert parameters["input"] == str(cohort)
    assert parameters["folds"] == FOLDS
    result = stub_run(finished, "-resume", "-params-file", recorded)
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(recorded.read_text(encoding="utf-8")) == parameters
    versions = json.loads((recorded.parent / "run.json").read_text(encoding="utf-8"))
    assert versions["nextflow"] and versions["version"] and "-params-file" in versions["command"]


def test_until_stops_after_the_stage(cohort, tmp_path):
    result = stub_run(tmp_path, "--input", cohort, "--outdir", tmp_path / "out", "--until", "preprocess", "--folds", 2)
    assert result.returncode == 0, result.stdout
    assert {name for name, _ in tasks(tmp_path / "out")} == {
        "CHECK_COHORT", "PREPARE_TEMPLATES", "EXTRACT_BRAIN", "ALIGN_AFFINE", "PACK_COHORT",
    }  # fmt: skip


def test_a_classifier_of_ones_own_is_explained_and_none_is_trained(cohort, tmp_path):
    (tmp_path / "mine.pt2").touch()
    result = stub_run(
        tmp_path, "--input", cohort, "--outdir", tmp_path / "out", "--folds", 2,
        "--classifier", tmp_path / "mine.pt2", "--simulator.steps", 3,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    names = [name for name, _ in tasks(tmp_path / "out")]
    assert (names.count("IMPORT_CLASSIFIER"), names.count("TRAIN_SIMULATOR"), names.count("WRITE_REPORT")) == (2, 2, 1)
    assert "TRAIN_CLASSIFIER" not in names
    assert (tmp_path / "out" / "models" / "fold-1" / "classifier").exists()


def test_networks_of_an_earlier_run_are_applied_without_training(cohort, finished, tmp_path):
    models = finished / "out" / "models"
    result = stub_run(tmp_path, "--input", cohort, "--outdir", tmp_path / "out", "--simulator", models)
    assert result.returncode == 0, result.stdout + result.stderr
    names = [name for name, _ in tasks(tmp_path / "out")]
    assert (names.count("IMPORT_CLASSIFIER"), names.count("MAP_JACOBIANS")) == (FOLDS, FOLDS)
    assert "WRITE_REPORT" in names and not {"TRAIN_CLASSIFIER", "TRAIN_SIMULATOR"} & set(names)
    command = next(
        path.read_text(encoding="utf-8")
        for path in tmp_path.glob("work/*/*/.command.run") if "PACK_COHORT" in path.read_text(encoding="utf-8")
    )  # fmt: skip
    assert f"{models} models" in command  # staged for the check of who trained them


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--simulator", "."), "expected the folder models/ of an earlier run, with fold-*/classifier"),
        (("--classifier", "gone.pt2"), "No such file"),
        (("--clasifier.epochs", "3"), "unknown parameter --clasifier. Did you mean --classifier?"),
        (("--classifier.epoch", "3"), "unknown parameter --classifier.epoch. Did you mean --classifier.epochs?"),
        (("--until", "jacobian"), "--until jacobian: expected one of preprocess, classifier"),
    ],
)
def test_wrong_parameter_stops_before_any_task(cohort, tmp_path, arguments, message):
    result = stub_run(tmp_path, "--input", cohort, "--outdir", tmp_path / "out", *arguments)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert not list(tmp_path.glob("work/*/*/.command.sh"))


def test_missing_parameters_are_named(cohort, tmp_path):
    result = stub_run(tmp_path, "--outdir", tmp_path / "out")
    assert "--input is missing: Samplesheet (CSV, TSV) or BIDS folder." in result.stdout + result.stderr
    result = stub_run(tmp_path, "--input", cohort, "--outdir")
    assert result.returncode != 0
    assert "--outdir has no value: Folder for the results." in result.stdout + result.stderr
    assert not list(tmp_path.glob("**/.command.sh"))


def test_what_cannot_be_matched_by_stops_before_any_scan_is_processed(cohort, tmp_path):
    result = stub_run(tmp_path, "--input", cohort, "--outdir", tmp_path / "out", "--folds", 2, "--match", "age,sex")
    assert result.returncode != 0
    assert "--match age, sex: no such covariate in the cohort; it has none." in result.stdout + result.stderr
    assert len(list(tmp_path.glob("work/*/*/.command.sh"))) <= 2  # CHECK_COHORT, and PREPARE_TEMPLATES beside it


def test_missing_file_and_lonely_group_are_named(cohort, tmp_path):
    table = pd.read_csv(cohort)
    table["t1w"] = [str(cohort.parent / name) for name in table["t1w"]]
    table.loc[2, "t1w"] = "gone.nii.gz"
    table = table[(table["group"] == "control") | (table.index == 2)]
    table.to_csv(tmp_path / "bad.csv", index=False)
    result = stub_run(tmp_path, "--input", tmp_path / "bad.csv", "--outdir", tmp_path / "out")
    assert result.returncode != 0
    assert "gone.nii.gz: file not found" in result.stdout + result.stderr
    assert "group 'case' has 1 participant" in result.stdout + result.stderr


def test_help_lists_every_parameter_and_runs_nothing(tmp_path):
    result = run(tmp_path, "--help")
    assert result.returncode == 0, result.stdout + result.stderr
    schema = json.loads((ROOT / "nextflow_schema.json").read_text(encoding="utf-8"))["properties"]
    for name, entry in schema.items():
        assert f"--{name} " in result.stdout
        for option in entry.get("properties", {}):
            assert f"--{name}.{option} " in result.stdout
    assert not (tmp_path / "pipeline_info").exists()
