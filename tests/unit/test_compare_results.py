"""compare-results tells equal runs from different ones, and says what differs."""

import gzip
import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from counterwarp.cli.compare_results import compare_results as command
from counterwarp.core.errors import InputError
from counterwarp.stages.compare_results import compare_results

MAP, MASK = "sub-1/warps/sub-1_desc-inject_logjacobian.nii.gz", "sub-1/anat/sub-1_desc-brain_mask.nii.gz"
TABLE, WEIGHTS = "models/fold-0/classifier/predictions.csv", "models/fold-0/classifier/classifier.safetensors"


@pytest.fixture
def runs(tmp_path):
    """Two folders with the same results."""
    first, second = tmp_path / "first", tmp_path / "second"
    for name in (MAP, MASK, TABLE, "pipeline_info/params.json"):
        (first / name).parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(1).random((4, 4, 4)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), first / MAP)
    nib.save(nib.Nifti1Image((values > 0.5).astype(np.uint8), np.eye(4)), first / MASK)
    pd.DataFrame({"scan_id": ["sub-1"], "logit": [0.5]}).to_csv(first / TABLE, index=False)
    save_file({"weight": values}, first / WEIGHTS)
    (first / "pipeline_info" / "params.json").write_text(json.dumps({"seed": 1, "outdir": "first"}), encoding="utf-8")
    shutil.copytree(first, second)
    return first, second


def test_equal_content_is_equal_however_it_is_compressed(runs):
    first, second = runs
    (second / MAP).write_bytes(gzip.compress(gzip.decompress((first / MAP).read_bytes()), 1, mtime=7))
    (second / "report.html").write_text("another time", encoding="utf-8")
    found = compare_results(first, second)
    assert found.differences == {} and found.parameters == {}
    assert found.equal == {"masks": 1, "images and maps": 1, "tables": 1, "weights": 1}
    assert CliRunner().invoke(command, [str(first), str(second)]).exit_code == 0


def test_differences_are_listed_with_their_size(runs):
    first, second = runs
    image = nib.load(first / MAP)
    values = np.asarray(image.dataobj).copy()
    values[1, 1, 1] += 0.25
    nib.save(nib.Nifti1Image(values, image.affine), second / MAP)
    nib.save(nib.Nifti1Image(np.asarray(nib.load(first / MASK).dataobj), np.diag([2, 2, 2, 1])), second / MASK)
    pd.DataFrame({"scan_id": ["sub-1"], "logit": [0.75]}).to_csv(second / TABLE, index=False)
    (second / WEIGHTS).unlink()
    (second / "pipeline_info" / "params.json").write_text(json.dumps({"seed": 2, "outdir": "second"}), encoding="utf-8")
    found = compare_results(first, second)
    assert found.differences == {
        MAP: "1 voxels differ, by 0.25 at most",
        MASK: "grids differ: (4, 4, 4) and (4, 4, 4), or their affines",
        TABLE: "column logit differs",
        WEIGHTS: f"only in {first}",
    }
    assert found.parameters == {"seed": (1, 2)}
    result = CliRunner().invoke(command, [str(first), str(second)])
    assert result.exit_code == 1
    assert "parameter seed: 1 and 2" in result.output and "different: 4" in result.output


def test_a_folder_without_results_is_named(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: expected the results of a run"):
        compare_results(runs[0], tmp_path / "empty")
