"""Our maps read in participants' own segmentations, as ``benchmarks/measured_regions.py`` does."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from counterwarp.core.geometry import Grid, apply_affine, write_itk_affine
from measured_folds import People
from recovery import Held
from segmentations import OwnMap, Segmentations, key, read_segmentations

NAMES = {1: "LateralVentricle_L", 2: "LateralVentricle_R", 3: "White_L", 4: "White_R"}
# Axes of the scan: posterior, superior, right; voxels of 2 x 2 x 2.5 mm, oblique
OBLIQUE = np.array([[0.3, 0.0, 2.5, -40.0], [-1.98, 0.0, 0.4, 45.0], [0.0, 2.0, 0.0, -38.0], [0, 0, 0, 1.0]])
SHAPE = (44, 38, 32)
GRID = Grid((16, 16, 16), np.array([[4.0, 0, 0, -30.0], [0, 4.0, 0, -30.0], [0, 0, 4.0, -30.0], [0, 0, 0, 1.0]]))
TO_SCAN = np.array([[1.1, 0.05, 0.0, 3.0], [-0.04, 0.9, 0.0, -2.0], [0.0, 0.1, 1.05, 4.0], [0, 0, 0, 1.0]])


def segmentation(small: float, left: bool = True) -> np.ndarray:
    """Two hemispheres with a cube in each; ``small``: mm from the cube's centre to its sides, in MNI152."""
    scan = apply_affine(OBLIQUE, np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1))
    x, y, z = np.moveaxis(apply_affine(np.linalg.inv(TO_SCAN), scan), -1, 0)
    white = np.where(x < 0, 3 if left else 0, 4) * (np.abs(np.stack([x, y, z])).max(axis=0) < 26)
    for label, centre in ((1, -13.0), (2, 13.0)):
        cube = np.abs(np.stack([x - centre, y, z])).max(axis=0) < small
        white = np.where(cube & (white > 0), label, white)
    return white.astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    for person, labels in {"a": segmentation(5), "b": segmentation(8), "c": segmentation(8, left=False)}.items():
        nib.save(nib.Nifti1Image(labels, OBLIQUE), tmp_path / f"{person}_dseg.nii.gz")
    pd.DataFrame({"Index": NAMES.keys(), "Name": NAMES.values()}).to_csv(tmp_path / "muse_dict.csv", index=False)
    write_itk_affine(tmp_path / "affine.mat", TO_SCAN)
    return tmp_path


def test_a_segmentation_without_a_hemisphere_is_left_out(folder):
    found = read_segmentations(folder, ["a", "b", "c"])
    assert found.failed == ["c"]
    difference = found.difference(pd.Series({"a": 0, "b": 1, "c": 1}))
    assert difference[[1, 2]].to_numpy() == pytest.approx(3 * np.log(8 / 5), abs=0.15)
    assert (difference[[3, 4]] < 0).all()


def grown(left: float, right: float, elsewhere: float) -> np.ndarray:
    """log-Jacobian on the grid: of either cube, and of the rest."""
    near = [np.abs(GRID.points() - [x, 0, 0]).max(axis=-1) < 11 for x in (-13.0, 13.0)]
    return np.select(near, [left, right], elsewhere)


def test_a_map_is_read_in_the_persons_own_regions(folder):
    """What grows lies at the cubes in MNI152; the scans are oblique and sheared to them."""
    maps = [OwnMap(person, folder / "affine.mat", -1.0, grown(-0.3, 0.4, 0)) for person in "abc"]
    change = read_segmentations(folder, ["a", "b", "c"]).mean_change(maps, GRID)
    assert change[1] == pytest.approx(0.3, abs=0.02)
    assert change[2] == pytest.approx(-0.4, abs=0.02)


def test_held_out_people_are_held_against_what_was_measured(folder):
    """A control under inject and a case under remove say the same; c's segmentation has failed."""
    index = pd.DataFrame({"participant_id": [*"abc"], "scan_id": [*"abc"], "is_case": [0, 1, 1]})
    people = People(
        SimpleNamespace(index=index, grid=GRID),
        SimpleNamespace(one=lambda name: folder / "affine.mat"),
        read_segmentations(folder, ["a", "b", "c"]),
    )
    held = [
        Held(position, case, sign, torch.zeros(1), SimpleNamespace(
            log_jacobian=torch.from_numpy(sign * grown(0.3, 0.4, -0.2)), logit=logit, margin_reached=reached,
            scale=scale, folding_fraction=0.0,
        ))
        for position, case, sign, logit, reached, scale in (
            (0, 0, 1, -1.0, True, 1.0), (1, 1, -1, 1.0, False, 3.0), (2, 1, -1, -2.0, True, 2.0)
        )
    ]  # fmt: skip
    found = people.explained(held)
    assert {name: found[name] for name in ("auc", "margin_inject", "margin_remove", "velocity_scale")} == {
        "auc": 0.5, "margin_inject": 1.0, "margin_remove": 0.5, "velocity_scale": 2.0
    }  # fmt: skip
    assert found["same_sign"] == 1
    assert found["place"] == 2
    assert np.log1p(np.array([found["L_ours"], found["R_ours"]]) / 100) == pytest.approx([0.3, 0.4], abs=0.02)
    assert np.log1p(found["L_measured"] / 100) == pytest.approx(3 * np.log(8 / 5), abs=0.15)


def test_names_of_two_atlases_meet():
    assert key("Left AnG angular gyrus") == key("AngularGyrus_L") != key("AngularGyrus_R")
    assert key("3rd Ventricle") == key("3rdVentricle")


def test_the_difference_is_reliable_as_far_as_people_agree(tmp_path):
    """No spread within groups: 1; chance alone: near 0."""
    random = np.random.default_rng(0)
    people, labels = [f"{number:02}" for number in range(40)], list(range(1, 61))
    is_case = pd.Series([0, 1] * 20, index=people)
    effect = np.outer(is_case, random.standard_normal(60))
    names = pd.Series("region", index=labels)
    for shares, expected, within in ((effect, 1, 1e-9), (random.standard_normal((40, 60)), 0, 0.35)):
        table = pd.DataFrame(shares, people, labels)
        assert Segmentations(tmp_path, names, table, []).reliability(is_case) == pytest.approx(expected, abs=within)
