"""Real stages on a few simulated whole heads, up to the classifier: what comes out, and where it lies.

So few people are too few for a simulator: it refuses a classifier that does not tell the groups apart.
"""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from nilearn.image import resample_img, resample_to_img

from counterwarp.core.settings import SimulationSettings
from counterwarp.stages.simulate_cohort import simulate_cohort
from launcher import run, tasks

pytestmark = pytest.mark.pipeline
PARTICIPANTS, RESOLUTION = 8, 3.0
OBLIQUE = "sub-001"  # its scan is made anisotropic and turned
TRUNCATED = "sub-broken"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    simulate_cohort(folder, PARTICIPANTS, 1, RESOLUTION, None, 2, SimulationSettings())
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
    inputs = ("--input", cohort / "cohort.csv", "--outdir", where / "out", "--until", "classifier")
    return run(where, "-profile", "test", *inputs, *arguments)


@pytest.mark.parametrize("participant", [OBLIQUE, "sub-002"])
def test_aligned_scans_lie_on_the_anatomy_whatever_their_geometry(results, participant):
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


def test_a_broken_scan_is_set_aside_and_named(results):
    problems = pd.read_csv(results / "pipeline_info" / "check" / "problems.csv")
    assert "broken.nii.gz" in problems["file"].str.cat()
    index = pd.read_csv(results / "pipeline_info" / "cohort" / "index.csv")
    assert sorted(index["participant_id"]) == [f"sub-{n:03d}" for n in range(1, PARTICIPANTS + 1)]
    assert TRUNCATED not in index["participant_id"].tolist()


def test_a_classifier_of_every_fold_is_there(results):
    for fold in (0, 1):
        predictions = pd.read_csv(results / "models" / f"fold-{fold}" / "classifier" / "predictions.csv")
        assert len(predictions) == PARTICIPANTS
        assert np.isfinite(predictions["logit"]).all()


def test_a_second_run_repeats_nothing(results, cohort):
    result = _run(results.parent, cohort, "-resume")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {status for _, status in tasks(results)} == {"CACHED"}
