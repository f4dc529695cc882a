"""What is written per participant means the same to ITK and ANTs as it does here, also in a scan's own space."""

import json

import ants
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from packed import write_packed_cohort
from scipy.ndimage import gaussian_filter

from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, apply_affine, read_itk_affine, write_itk_affine
from counterwarp.core.settings import JacobianSettings
from counterwarp.explain.native import displacement_on_native, map_on_native
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.networks.simulator import Simulator, save_simulator
from counterwarp.stages.map_jacobians import map_jacobians
from counterwarp.stages.warp_scan import warp_scan

SCAN, FOLD = "sub-2", 1
ROUNDING = 1e-3  # of images with a standard deviation near 1: float32 fields, weights and headers
VECTOR = 1007  # NIfTI's code of a displacement field


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Maps that the real stage writes with networks of random weights, and the aligned scan they belong to."""
    folder = tmp_path_factory.mktemp("products")
    torch.manual_seed(0)
    (folder / "cohort").mkdir()
    store = CohortStore(write_packed_cohort(folder / "cohort", side=120.0))
    classifier, simulator = Classifier(torch.zeros(1, 1, *store.grid.shape), 4), Simulator(width=8)
    torch.nn.init.normal_(simulator.output.weight, std=0.3)
    for name in ("classifier", "simulator"):
        (folder / name).mkdir()
    save_classifier(classifier, folder / "classifier", width=4)
    save_simulator(simulator, folder / "simulator", width=8)
    (folder / "simulator" / "simulator.json").write_text(json.dumps({"margin": 1.0}), encoding="utf-8")
    settings = JacobianSettings(doses=2)
    networks = folder / "classifier", folder / "simulator"
    map_jacobians(store.folder, *networks, FOLD, 0, "cpu", folder / "maps", settings)
    position = int(np.flatnonzero(store.index["scan_id"] == SCAN)[0])
    images.save(folder / layout.aligned_t1w(SCAN), store.images[position].astype(np.float32), store.grid)
    return folder


@pytest.fixture(scope="module")
def native(products):
    """The scan in its own space: a rotated, stretched head on an oblique, anisotropic, flipped grid."""
    turn = np.array(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.1).GetMatrix()).reshape(3, 3)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn.T * 1.1, [5.0, -4.0, 3.0]
    axes = turn @ np.array([[0, 0, 5.0], [-3.0, 0, 0], [0, 4.0, 0]])
    grid = Grid((40, 34, 26), np.eye(4))
    centre = apply_affine(pose, np.full(3, 60.0))
    grid.affine[:3, :3], grid.affine[:3, 3] = axes, centre - axes @ ((np.array(grid.shape) - 1) / 2)
    image = gaussian_filter(np.random.default_rng(0).standard_normal(grid.shape), 2).astype(np.float32)
    images.save(products / "native.nii.gz", image / image.std(), grid)
    write_itk_affine(products / layout.affine(SCAN), pose)
    return products


def by_itk(image, warp):
    """The image resampled by the warp file with SimpleITK, (X, Y, Z)."""
    fixed = sitk.ReadImage(str(image), sitk.sitkFloat32)
    field = sitk.ReadImage(str(warp), sitk.sitkVectorFloat64)
    return sitk.GetArrayFromImage(sitk.Resample(fixed, fixed, sitk.DisplacementFieldTransform(field))).T


def by_ants(image, *transforms, invert=None):
    """The same as antsApplyTransforms does it."""
    fixed = ants.image_read(str(image))
    return ants.apply_transforms(fixed, fixed, [str(t) for t in transforms], whichtoinvert=invert).numpy()


def read_inside(image, warp):
    """Voxels whose sample lies inside of the image: outside, the border's value continues here, and ITK has 0."""
    displacement, grid = images.load_displacement(warp)
    voxels = apply_affine(np.linalg.inv(grid.affine), grid.points() + displacement)
    return ((voxels >= 0) & (voxels <= np.array(nib.load(image).shape) - 1)).all(-1)


def assert_same(found, expected, inside):
    assert inside.mean() > 0.5
    assert expected[inside].std() > 0.5
    assert np.abs(found - expected)[inside].max() < ROUNDING


@pytest.mark.parametrize("direction", layout.DIRECTIONS)
def test_itk_and_ants_make_the_simulated_scan_from_the_aligned_one(products, direction):
    image, warp = products / layout.aligned_t1w(SCAN), products / "maps" / layout.warp(SCAN, direction)
    header = nib.load(warp).header
    assert int(header["intent_code"]) == VECTOR
    assert header.get_data_shape()[3:] == (1, 3)
    assert np.abs(images.load_displacement(warp)[0]).max() > 4  # mm: half a voxel
    simulated, _ = images.load(products / "maps" / layout.simulated_t1w(SCAN, direction))
    inside = read_inside(image, warp)
    assert_same(by_itk(image, warp), simulated, inside)
    assert_same(by_ants(image, warp), simulated, inside)
    original, _ = images.load(image)
    assert np.abs(simulated - original)[inside].max() > 100 * ROUNDING


@pytest.mark.parametrize("dose", [0.5, 1.0])
def test_itk_and_ants_warp_an_oblique_anisotropic_scan_where_it_lies(native, tmp_path, dose):
    velocity, affine = native / "maps" / layout.velocity(SCAN, "inject"), native / layout.affine(SCAN)
    image = native / "native.nii.gz"
    warp_scan(velocity, dose, image, affine, tmp_path)
    warp = tmp_path / layout.native_warp(SCAN, "inject")
    simulated, _ = images.load(tmp_path / layout.native_simulated_t1w(SCAN, "inject"))
    inside = read_inside(image, warp)
    assert_same(by_itk(image, warp), simulated, inside)
    assert_same(by_ants(image, warp), simulated, inside)
    # The chain that a user would write: to MNI152, through the aligned scan's warp, and back. ITK continues a field
    # by half a voxel beyond its outermost samples; here it ends with them.
    warp_scan(velocity, dose, native / layout.aligned_t1w(SCAN), None, tmp_path)
    chain = affine, tmp_path / layout.warp(SCAN, "inject"), affine
    aligned, own = (images.load(path)[1] for path in (native / layout.aligned_t1w(SCAN), image))
    to_aligned = np.linalg.inv(read_itk_affine(affine) @ aligned.affine)
    voxels = apply_affine(to_aligned, own.points())
    covered = ((voxels >= 0) & (voxels <= np.array(aligned.shape) - 1)).all(-1)
    assert covered.mean() > 0.2
    found = by_ants(image, *chain, invert=[True, False, False])
    assert np.abs(found - simulated)[inside & covered].max() < ROUNDING


def test_full_dose_is_the_exported_warp_and_no_dose_the_scan(products, tmp_path):
    velocity, image = products / "maps" / layout.velocity(SCAN, "remove"), products / layout.aligned_t1w(SCAN)
    warp_scan(velocity, 1.0, image, None, tmp_path / "full")
    for name, load in ((layout.warp, images.load_displacement), (layout.log_jacobian, images.load)):
        found, grid = load(tmp_path / "full" / name(SCAN, "remove"))
        expected, same = load(products / "maps" / name(SCAN, "remove"))
        np.testing.assert_allclose(found, expected, atol=1e-4)  # mm or log; float32
        assert np.allclose(grid.affine, same.affine, atol=1e-4)
    warp_scan(velocity, 0.0, image, None, tmp_path / "none")
    simulated = images.load(tmp_path / "none" / layout.simulated_t1w(SCAN, "remove"))[0]
    np.testing.assert_allclose(simulated, images.load(image)[0], atol=ROUNDING)
    assert not images.load(tmp_path / "none" / layout.log_jacobian(SCAN, "remove"))[0].any()


def test_a_warp_in_native_space_keeps_direction_and_length_but_for_the_affine():
    grid = Grid((12, 12, 12), np.diag([4.0, 4, 4, 1]))
    native = Grid((8, 9, 10), np.diag([-2.0, 3, 1, 1]))
    pose = np.array([[0.0, -2, 0, 0], [2, 0, 0, 4], [0, 0, 2, 0], [0, 0, 0, 1]])  # a quarter turn, twice as large
    native.affine[:3, 3] = apply_affine(pose, np.full(3, 22.0)) - np.array([-8.0, 12, 5])
    displacement = np.tile(np.array([1.0, 2, 3]), (*grid.shape, 1))
    found = displacement_on_native(displacement, grid, pose, native)
    np.testing.assert_allclose(found, np.broadcast_to([-4.0, 2, 6], found.shape), atol=1e-9)
    ramp = grid.points() @ np.array([1.0, 0, 0])
    expected = apply_affine(np.linalg.inv(pose), native.points())[..., 0]
    np.testing.assert_allclose(map_on_native(ramp, grid, pose, native), expected, atol=1e-9)


def test_wrong_files_are_named(products, native, tmp_path):
    velocity = products / "maps" / layout.velocity(SCAN, "inject")
    with pytest.raises(InputError, match=r"native.nii.gz: expected the aligned T1w .* give its --affine"):
        warp_scan(velocity, 1.0, native / "native.nii.gz", None, tmp_path)
    with pytest.raises(InputError, match="expected a velocity named SCAN_space-MNI152_desc-inject_velocity"):
        warp_scan(products / layout.aligned_t1w(SCAN), 1.0, native / "native.nii.gz", None, tmp_path)
