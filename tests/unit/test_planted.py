"""The planted atrophy: signs, sizes and the composition of the truth."""

import numpy as np
import pytest
import torch

from counterwarp.cohort.planted import plant_effect, random_velocity, true_log_jacobian
from counterwarp.core.errors import InputError
from counterwarp.core.settings import SimulationSettings
from counterwarp.networks.warps import exponentiate, resample


def test_planted_regions_change_as_asked(effect):
    changes = effect.region_changes(1.0)
    assert changes["Hippocampus"] < -25 and changes["Amygdala"] < -25
    assert changes["Lateral_Ventricle"] > 30
    log_jacobian = effect.log_jacobian(1.0)
    assert np.isfinite(log_jacobian).all()  # no folding
    assert abs(log_jacobian[:5].mean()) < 0.02  # nothing far away


def test_volume_of_a_warped_region_is_the_integral_of_the_jacobian(effect):
    """Warp the label, count its volume: it must equal the sum of exp(log-Jacobian) over the region."""
    spacing = effect.grid.spacing
    displacement = exponentiate(effect.velocity, spacing)
    for mask in effect.regions.values():
        label = torch.from_numpy(mask.astype(np.float32))[None, None]
        warped = float(resample(label, displacement, spacing).sum())
        integral = float(np.exp(effect.log_jacobian(1.0))[mask].sum())
        assert integral == pytest.approx(warped, rel=0.03)  # labels have 2 mm voxels


def test_truth_of_an_unwarped_participant_is_the_base_map(effect):
    still = torch.zeros(1, 3, *effect.grid.shape)
    assert np.allclose(true_log_jacobian(effect, still, 1.0), effect.log_jacobian(1.0), atol=1e-4)


def test_truth_changes_sign_with_the_dose_and_follows_the_anatomy(effect):
    velocity = random_velocity(effect.grid, {20.0: 2.0}, torch.Generator().manual_seed(0))
    inject = true_log_jacobian(effect, velocity, 1.0)
    remove = true_log_jacobian(effect, velocity, -1.0)
    assert np.corrcoef(inject.ravel(), remove.ravel())[0, 1] < -0.8
    moved = resample(
        torch.from_numpy(effect.log_jacobian(1.0))[None, None],
        exponentiate(velocity, effect.grid.spacing),
        effect.grid.spacing,
    )[0, 0].numpy()
    assert np.corrcoef(inject.ravel(), moved.ravel())[0, 1] > 0.95


def test_null_effect_changes_nothing():
    assert np.abs(plant_effect(SimulationSettings(effect=0.0)).log_jacobian(1.0)).max() == 0


def test_unknown_region_is_named():
    with pytest.raises(InputError, match="region 'Hipocampus' is not in"):
        plant_effect(SimulationSettings(shrink="Hipocampus"))
