"""The short form of ``make science``: every data set, every baseline, in one command."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import MORPHOMETRY
from goals import ABSENT, NAMES, REAL
from recovery import GUESS, OURS

pytestmark = pytest.mark.science
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "science.py"
SALIENCY = ("gradient", "smoothgrad", "integratedGradients", "guidedGradcam", "occlusion")


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """What the command writes, after its tables were looked at."""
    folder = tmp_path_factory.mktemp("science")
    command = [sys.executable, str(SCRIPT), "all", "--short", "--seeds", "1", "--output", str(folder)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == (folder / "science.md").read_text(encoding="utf-8").strip()
    return json.loads((folder / "science.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def results(record):
    """By experiment."""
    return record["results"]


def test_every_goal_stands_beside_what_was_found(record):
    measured = {row["data"]: row["found"] != ABSENT for row in record["goals"]}
    assert measured == {name: experiment != REAL for experiment, name in NAMES.items()} | {"all": True}
    assert {row["reached"] for row in record["goals"] if row["goal"] and measured[row["data"]]} <= {"yes", "NO"}


def test_every_data_set_has_every_method(results):
    assert list(results) == ["four-gaussians", "four-gaussians-3d", "resized-squares", "atrophy"]
    for name, result in results.items():
        expected = {OURS, *SALIENCY, *(f"{method}, smoothed" for method in SALIENCY)}
        assert expected <= result["methods"].keys(), name
        assert all(math.isfinite(value) for value in result["methods"][OURS].values()), name
    assert MORPHOMETRY in results["atrophy"]["methods"]


def test_the_planted_change_is_found_and_nothing_folds(results):
    for name, least in (
        ("four-gaussians", 0.8),
        ("four-gaussians-3d", 0.6),
        ("resized-squares", 0.8),
        ("atrophy", 0.3),
    ):
        assert results[name]["methods"][OURS]["group signed_ncc"] > least, name
        assert results[name]["folding_fraction"] < 1e-4, name


def test_no_saliency_map_comes_closer(results):
    """Not judged at 8 mm, where Integrated Gradients do."""
    for name in ("four-gaussians", "four-gaussians-3d", "resized-squares"):
        found = {method: values["participant signed_ncc"] for method, values in results[name]["methods"].items()}
        ours = found.pop(OURS)
        assert ours > max(value for method, value in found.items() if method != GUESS), name


def test_ventricles_grow_as_planted(results):
    """The other regions are smaller than some voxels of 8 mm, and are not judged."""
    changes = results["atrophy"]["regions"]
    assert set(changes) == {"Hippocampus", "Amygdala", "Lateral_Ventricle"}
    assert 0 < changes["Lateral_Ventricle"][OURS] < 1.2 * changes["Lateral_Ventricle"]["truth"]


def test_morphometry_has_the_sign_of_the_truth(results):
    assert results["atrophy"]["methods"][MORPHOMETRY]["group masked_ncc"] > 0.5
