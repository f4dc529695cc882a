"""Steps of extraction and alignment on pictures of a few shapes: what does not matter, and what is refused."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from counterwarp.brain.alignment import _z_scored
from counterwarp.brain.extraction import NO_BRAIN, NO_HEAD, refine_mask, working_image
from counterwarp.brain.tissue import tissue_centres
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, from_itk, to_itk
from counterwarp.core.settings import ExtractionSettings

SHAPE, AFFINE, NECK = (60, 70, 60), np.diag([3.0, 3, 3, 1]), 190.0
POINTS = np.indices(SHAPE) - np.array([30, 35, 30])[:, None, None, None]
BALL = ((POINTS**2).sum(0) < 22**2).astype(np.float32)


def picture(data):
    return nib.Nifti1Image(data.astype(np.float32), AFFINE)


def texture():
    """A ball with noise, and noise of a tenth around it."""
    noise = np.random.default_rng(0).random(SHAPE)
    return (0.1 + 0.9 * BALL) * (1 + noise)


@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_unit_of_intensity_does_not_matter(unit):
    once, other = (sitk.GetArrayFromImage(working_image(picture(texture() * scale), NECK)) for scale in (1.0, unit))
    assert once.min() == 0 and once.max() == pytest.approx(1000)
    assert np.allclose(once, other, atol=0.1)


def test_picture_of_a_few_voxels_is_refused():
    dot = np.zeros(SHAPE)
    dot[30, 30, 30] = 1
    with pytest.raises(InputError) as error:
        working_image(picture(dot), NECK)
    assert str(error.value) == NO_HEAD


@pytest.mark.parametrize("prior", [np.zeros(SHAPE), BALL])
def test_mask_without_tissue_is_refused(prior):
    """The prior outside the scan, or on a scan whose classes of tissue are all one value."""
    with pytest.raises(InputError) as error:
        refine_mask(to_itk(picture(np.zeros(SHAPE))), to_itk(picture(prior)), ExtractionSettings())
    assert str(error.value) == NO_BRAIN


def test_refined_mask_follows_the_tissue():
    """A prior that is 6 mm too small on all sides grows to the border of a ball of three tissues."""
    radius = np.sqrt((POINTS**2).sum(0))
    tissue = np.select([radius < 5, radius < 14, radius < 22], [200.0, 900.0, 600.0], 50.0)
    prior = to_itk(picture(radius < 20))
    found = np.asarray(from_itk(refine_mask(to_itk(picture(tissue)), prior, ExtractionSettings())).dataobj) > 0
    assert 2 * (found & (BALL > 0)).sum() / (found.sum() + BALL.sum()) > 0.99


def test_tissue_classes_of_two_values_are_numbers():
    assert np.isfinite(tissue_centres(np.repeat([1.0, 2.0], 50))).all()


def test_brain_of_one_value_cannot_be_scored():
    grid = Grid((10, 10, 10), np.diag([6.0, 6, 6, 1]))
    with pytest.raises(RuntimeError, match="every voxel of the aligned brain has the same value"):
        _z_scored(to_itk(picture(np.ones(SHAPE))), to_itk(picture(np.ones(SHAPE))), sitk.Transform(), grid)


def test_antspyx_is_loaded_without_what_registration_leaves_unused():
    """In a process of its own: the packages are real for whoever imports them afterwards."""
    program = """
import sys
import scipy.ndimage
from counterwarp.brain.antspyx import load_ants
ants = load_ants()
assert not {"matplotlib", "requests", "scipy.stats", "sklearn", "statsmodels"} & sys.modules.keys()
import numpy as np, scipy.stats, sklearn.linear_model
import scipy
assert scipy.stats.pearsonr([1, 2, 3], [1, 2, 4])[0] > 0.9
assert sklearn.linear_model.LinearRegression().fit([[0], [1]], [0, 2]).coef_.round(6) == [2]
assert load_ants() is ants
assert ants.get_center_of_mass(ants.from_numpy(np.eye(3, dtype="float32"))) == (1.0, 1.0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
