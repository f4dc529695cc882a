"""Regions: integrals of the Jacobian against counting warped voxels, atlases by name and from files."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import map_coordinates

from counterwarp.core import templates
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid
from counterwarp.explain.regions import regions_on_grid
from counterwarp.networks.warps import exponentiate, jacobian_determinant


def ball(shape, spacing, radius):
    """A ball in the middle of a grid, and the grid."""
    affine = np.diag([*spacing, 1.0])
    grid = Grid(shape, affine)
    middle = np.array(spacing) * (np.array(shape) - 1) / 2
    distance = np.linalg.norm(grid.points() - middle, axis=-1)
    return grid, middle, nib.Nifti1Image((distance < radius).astype(np.int16), affine)


def test_the_integral_of_the_jacobian_is_the_volume_of_the_warped_label():
    grid, middle, label = ball((48, 48, 48), (1.0, 1.0, 1.0), 10.0)
    offset = grid.points() - middle
    bump = np.exp(-np.sum(offset**2, -1) / (2 * 12.0**2))[..., None]
    velocity = torch.from_numpy(np.moveaxis(-0.08 * offset * bump, -1, 0).astype(np.float32))[None]
    tissue = exponentiate(velocity, grid.spacing)  # tissue at q moves to q + u(q)
    log_jacobian = jacobian_determinant(tissue, grid.spacing).log()[0].numpy()
    regions = regions_on_grid(label, pd.DataFrame({"index": [1], "name": ["Ball"]}), grid)
    integrated = regions.volume_change(log_jacobian)[0]
    # the moved label at p is the label at the point that moved to p: pull back by the inverse flow
    back = exponentiate(-velocity, grid.spacing)[0].numpy()
    points = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")) + back
    warped = map_coordinates(label.get_fdata(), points, order=1)
    counted = warped.sum() / label.get_fdata().sum() - 1
    assert integrated < -0.1  # the ball shrinks
    assert integrated == pytest.approx(counted, abs=0.02)


def test_weights_are_linear_interpolation_onto_the_atlas():
    coarse = Grid((10, 12, 8), np.array([[4.0, 0, 0, -3], [0, 4, 0, 5], [0, 0, 4, 1], [0, 0, 0, 1]]))
    labels = np.zeros((30, 30, 20), np.int16)
    labels[4:20, 5:25, 4:16], labels[20:24, 8:20, 5:15] = 1, 2
    atlas = nib.Nifti1Image(labels, np.array([[1.0, 0, 0, 1], [0, 1, 0, 8], [0, 0, 1, 4], [0, 0, 0, 1]]))
    regions = regions_on_grid(atlas, pd.DataFrame({"index": [0, 1, 2], "name": ["none", "A", "B_b"]}), coarse)
    assert regions.names["region"].tolist() == ["A"]  # B has 0.48 ml
    ramp = (coarse.points() @ np.array([1.0, -2.0, 0.5])).astype(np.float32)  # linear interpolation is exact
    points = np.argwhere(labels == 1) + atlas.affine[:3, 3]
    assert regions.mean(ramp)[0] == pytest.approx((points @ np.array([1.0, -2.0, 0.5])).mean(), rel=1e-5)
    assert regions.names["volume_ml"][0] == pytest.approx((labels == 1).sum() / 1000)


@pytest.mark.parametrize("name", templates.ATLASES)
def test_every_embedded_atlas_has_names_for_its_labels(name):
    image, table = templates.atlas(name)
    labels = set(np.unique(np.asarray(image.dataobj))) - {0}
    assert image.ndim == 3
    assert len(labels & set(table["index"])) > 30
    left = table["name"].str.contains("left|_L$|-L|lh", case=False)
    assert left.sum() > 10
    points = np.argwhere(np.isin(np.asarray(image.dataobj), table["index"][left])) @ image.affine[:3, :3].T
    assert (points[:, 0] + image.affine[0, 3]).mean() < -10  # mm: left is negative x in RAS+


def test_an_atlas_of_ones_own_needs_its_table(tmp_path):
    image = nib.Nifti1Image(np.ones((4, 4, 4), np.int16), np.eye(4))
    nib.save(image, tmp_path / "mine.nii.gz")
    with pytest.raises(InputError, match=r"mine.tsv not found"):
        templates.atlas(str(tmp_path / "mine.nii.gz"))
    (tmp_path / "mine.tsv").write_text("index\tlabel\n1\tcube\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected columns index and name, got index, label"):
        templates.atlas(str(tmp_path / "mine.nii.gz"))
    (tmp_path / "mine.tsv").write_text("index\tname\n1\tcube\n", encoding="utf-8")
    assert templates.atlas(str(tmp_path / "mine.nii.gz"))[1]["name"].tolist() == ["cube"]
