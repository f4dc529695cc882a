"""Frames at the file boundary: our affines and warps mean to ITK and ANTs what they mean here."""

import ants
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import map_coordinates

from counterwarp.core import images
from counterwarp.core.geometry import Grid, apply_affine, axis_aligned_grid, read_itk_affine, write_itk_affine
from counterwarp.networks.warps import resample

ROTATION = np.array(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.1).GetMatrix()).reshape(3, 3)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = ROTATION @ np.diag([1.0, 2.0, 3.0])
OBLIQUE[:3, 3] = [-20, 15, 7]
TOLERANCE_MM = 1e-4


def smooth_image(grid: Grid) -> np.ndarray:
    points = grid.points()
    return (np.sin(points[..., 0] / 9) + np.cos(points[..., 1] / 7) + points[..., 2] / 30).astype(np.float32)


def test_itk_affine_round_trip_and_meaning(tmp_path):
    matrix = np.eye(4)
    matrix[:3, :3] = ROTATION * 1.1
    matrix[:3, 3] = [3, -4, 5]
    write_itk_affine(tmp_path / "x.mat", matrix)
    assert np.allclose(read_itk_affine(tmp_path / "x.mat"), matrix, atol=TOLERANCE_MM)
    point = np.array([10.0, 20.0, 30.0])
    flip = np.array([-1, -1, 1])
    itk = sitk.ReadTransform(str(tmp_path / "x.mat")).TransformPoint((point * flip).tolist())
    assert np.allclose(np.array(itk) * flip, apply_affine(matrix, point), atol=TOLERANCE_MM)
    ants_point = ants.apply_ants_transform_to_point(ants.read_transform(str(tmp_path / "x.mat")), point * flip)
    assert np.allclose(np.array(ants_point) * flip, apply_affine(matrix, point), atol=1e-3)


@pytest.mark.parametrize("affine", [np.diag([2.0, 2, 2, 1]), np.diag([-1.0, 2, 3, 1]), OBLIQUE])
def test_saved_image_has_the_same_world_for_nibabel_and_itk(tmp_path, affine):
    grid = Grid((12, 11, 10), affine)
    images.save(tmp_path / "x.nii.gz", smooth_image(grid), grid)
    data, read = images.load(tmp_path / "x.nii.gz")
    assert np.allclose(read.affine, affine, atol=TOLERANCE_MM)
    itk = sitk.ReadImage(str(tmp_path / "x.nii.gz"))
    world = np.array(itk.TransformIndexToPhysicalPoint((3, 5, 7))) * [-1, -1, 1]
    assert np.allclose(world, grid.points()[3, 5, 7], atol=1e-3)
    assert itk[3, 5, 7] == pytest.approx(float(data[3, 5, 7]))


def test_warp_file_gives_itk_and_ants_the_same_simulated_image(tmp_path):
    grid = axis_aligned_grid(np.array([-30.0, -40, -20]), np.array([30.0, 30, 40]), 4.0)
    image = smooth_image(grid)
    generator = torch.Generator().manual_seed(0)
    coarse = 5 * torch.randn(1, 3, 3, 3, 3, generator=generator)
    displacement = torch.nn.functional.interpolate(coarse, grid.shape, mode="trilinear", align_corners=True)
    ours = resample(torch.from_numpy(image)[None, None], displacement, grid.spacing)[0, 0].numpy()
    images.save(tmp_path / "image.nii.gz", image, grid)
    images.save_displacement(tmp_path / "warp.nii.gz", displacement[0].movedim(0, -1).numpy(), grid)

    fixed = sitk.ReadImage(str(tmp_path / "image.nii.gz"))
    field = sitk.Cast(sitk.ReadImage(str(tmp_path / "warp.nii.gz")), sitk.sitkVectorFloat64)
    by_itk = sitk.GetArrayFromImage(sitk.Resample(fixed, fixed, sitk.DisplacementFieldTransform(field))).T
    moving = ants.image_read(str(tmp_path / "image.nii.gz"))
    by_ants = ants.apply_transforms(moving, moving, [str(tmp_path / "warp.nii.gz")]).numpy()

    # Samples outside the image are border values here and 0 in ITK: compare where both read inside.
    inside = map_coordinates(np.ones(grid.shape), _voxels(grid, displacement), order=1, cval=0) > 0.999
    assert inside.mean() > 0.5
    assert np.abs(displacement.numpy()).max() > 5
    for other in (by_itk, by_ants):
        assert np.abs(other - ours)[inside].max() < 1e-3


def _voxels(grid, displacement):
    points = grid.points() + displacement[0].movedim(0, -1).numpy()
    return np.moveaxis(apply_affine(np.linalg.inv(grid.affine), points), -1, 0)


def test_grid_covers_its_box_with_sides_that_networks_can_halve():
    lower, upper = np.array([-73.0, -107, -72]), np.array([73.0, 73, 81])
    grid = axis_aligned_grid(lower, upper, 4.0)
    points = grid.points().reshape(-1, 3)
    assert all(n % 8 == 0 for n in grid.shape)
    assert (points.min(0) <= lower).all() and (points.max(0) >= upper).all()
    assert grid.spacing == (4.0, 4.0, 4.0)
    assert nib.aff2axcodes(grid.affine) == ("R", "A", "S")
