"""The whole pipeline on a few simulated whole heads, every stage real: what comes out, and where it lies."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from nilearn.image import resample_img, resample_to_img

from counterwarp.cli.main import counterwarp
from counterwarp.core.settings import SimulationSettings
from counterwarp.stages.simulate_cohort import simulate_cohort
from launcher import run, tasks

pytestmark = pytest.mark.pipeline
PARTICIPANTS, RESOLUTION = 8, 3.0
OBLIQUE = "sub-001"  # its scan is made anisotropic and turned
# people who hardly differ but for the effect: a classifier that saw two of them must get the others right
PLAIN = SimulationSettings(effect=1.3, variation=0.5)
TRUNCATED = "sub-broken"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    simulate_cohort(folder, PARTICIPANTS, 1, RESOLUTION, None, PLAIN)
    _turn(folder / "T1w" / f"{OBLIQUE}_T1w.nii.gz")
    whole = (folder / "T1w" / "sub-002_T1w.nii.gz").read_bytes()
    (folder / "T1w" / "broken.nii.gz").write_bytes(whole[: len(whole) // 2])
    table = pd.read_csv(folder / "cohort.csv")
    table.loc[len(table)] = {"participant_id": TRUNCATED, "t1w": "T1w/broken.nii.gz", "group": "case", "age": 60.0}
    table.to_csv(folder / "cohort.csv", index=False)
    return folder


def _turn(path):
    """Resample a scan to 2.5 x 2.5 x 5 mm voxels on axes that are turned by 20 degrees and permuted."""
    scan = nib.load(path)
    angle = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, 0, 5.0], [-2.5, 0, 0], [0, 2.5, 0]])
    shape = (120, 120, 50)
    centre = scan.affine @ [*((np.array(scan.shape) - 1) / 2), 1]
    affine[:3, 3] = centre[:3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    data = np.asarray(resample_img(scan, affine, shape, force_resample=True).dataobj)
    nib.save(nib.Nifti1Image(data.astype(np.int16), affine), path)


@pytest.fixture(scope="module")
def results(cohort, tmp_path_factory):
    where = tmp_path_factory.mktemp("run")
    result = _run(where, cohort)
    assert result.returncode == 0, result.stdout + result.stderr
    return where / "out"


def _run(where, cohort, *arguments):
    inputs = ("--input", cohort / "cohort.csv", "--truth", cohort / "truth", "--outdir", where / "out")
    return run(where, "-profile", "test", *inputs, *arguments)


def test_evaluation_has_the_promised_numbers(results):
    evaluation = json.loads((results / "evaluation.json").read_text())
    assert 0 <= evaluation["classifier"]["accuracy"] <= 1
    assert 0 <= evaluation["classifier"]["auc"] <= 1
    assert set(evaluation["simulator"]["margin_reached"]) == {"inject", "remove"}
    assert evaluation["simulator"]["folding_fraction"] == 0
    for value in (
        evaluation["truth"]["group_signed_ncc"],
        evaluation["truth"]["participant_signed_ncc"],
        evaluation["saliency"]["gradient"]["group_signed_ncc"],
    ):
        assert -1 <= value <= 1
    assert {"extract_brain", "align_affine", "train_classifier", "train_simulator"} <= set(evaluation["seconds"])


def test_every_participant_has_maps_on_the_network_grid(results):
    grid = nib.load(results / "group" / "space-MNI152_desc-aligned_logjacobian.nii.gz")
    for number in range(1, PARTICIPANTS + 1):
        name = f"sub-{number:03d}"
        for direction in ("inject", "remove"):
            stem = results / name / "warps" / f"{name}_space-MNI152_desc-{direction}_logjacobian"
            image = nib.load(f"{stem}.nii.gz")
            assert image.shape == grid.shape
            np.testing.assert_allclose(image.affine, grid.affine)
            assert np.isfinite(image.get_fdata()).all() and np.abs(image.get_fdata()).max() > 0
            assert "log" in json.loads(stem.with_suffix(".json").read_text())["Units"]


@pytest.mark.parametrize("participant", [OBLIQUE, "sub-002"])
def test_maps_lie_on_the_anatomy_whatever_the_scan_geometry(results, participant):
    stem = str(results / participant / "anat" / f"{participant}_space-MNI152_desc-")
    aligned, mask = nib.load(stem + "preproc_T1w.nii.gz"), nib.load(stem + "brain_mask.nii.gz")
    template = resample_to_img(load_mni152_template(), aligned, force_resample=True, copy_header=True).get_fdata()
    brain = resample_to_img(
        load_mni152_brain_mask(), aligned, interpolation="nearest", force_resample=True, copy_header=True
    ).get_fdata()
    inside, found = brain > 0, mask.get_fdata() > 0
    assert 2 * (inside & found).sum() / (inside.sum() + found.sum()) > 0.9  # 8 mm voxels, affine only
    # a mirrored or shifted brain correlates with its template by less than half of this
    assert np.corrcoef(aligned.get_fdata()[inside & found], template[inside & found])[0, 1] > 0.5
    moved = nib.load(
        results / participant / "warps" / f"{participant}_space-MNI152_desc-inject_logjacobian.nii.gz"
    ).get_fdata()
    assert not moved[~inside].any()


def test_a_broken_scan_is_set_aside_and_named(results):
    problems = pd.read_csv(results / "pipeline_info" / "check" / "problems.csv")
    assert "broken.nii.gz" in problems["file"].str.cat()
    assert TRUNCATED not in pd.read_csv(results / "participants.tsv", sep="\t")["participant_id"].tolist()
    assert "broken.nii.gz" in (results / "report.html").read_text()


def test_the_report_rebuilds_from_the_results_alone(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "results" / "report.html").unlink()
    arguments = ["write-report", str(tmp_path / "results")]
    assert CliRunner().invoke(counterwarp, arguments, catch_exceptions=False).exit_code == 0
    again, first = (json.loads((folder / "evaluation.json").read_text()) for folder in (tmp_path / "results", results))
    again["seconds"].pop("write_report", None)
    assert again == first
    assert (tmp_path / "results" / "report.html").stat().st_size > 1e6
    assert (tmp_path / "results" / "participants" / "sub-002.html").exists()


def test_a_second_run_repeats_nothing(results, cohort):
    result = _run(results.parent, cohort, "-resume")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {status for _, status in tasks(results)} == {"CACHED"}
