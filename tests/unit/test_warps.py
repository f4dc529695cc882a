"""Warps with known answers: translations, scalings, inverses; 2-D and 3-D, anisotropic spacing."""

import numpy as np
import pytest
import torch

from counterwarp.networks.warps import (
    compose,
    exponentiate,
    invert,
    jacobian_determinant,
    resample,
    tissue_log_jacobian,
    upsample,
)

SHAPES = [((24, 20), (2.0, 3.0)), ((16, 20, 18), (2.0, 3.0, 1.5))]
INTERIOR = 4  # voxels from the border, where nothing is read from outside the grid


def coordinates(shape, spacing):
    """Centred coordinates, (1, D, *shape), mm."""
    axes = [s * (torch.arange(n) - (n - 1) / 2) for n, s in zip(shape, spacing, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def interior(field):
    dimensions = field.ndim - 1
    return field[(slice(None), *[slice(INTERIOR, -INTERIOR)] * dimensions)]


@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
def test_resampling_by_one_voxel_reads_the_next_voxel_of_each_axis(shape, spacing):
    image = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    for axis, step in enumerate(spacing):
        displacement = torch.zeros(1, len(shape), *shape)
        displacement[:, axis] = step
        expected = image.narrow(2 + axis, 1, shape[axis] - 1)
        got = resample(image, displacement, spacing).narrow(2 + axis, 0, shape[axis] - 1)
        assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
def test_exponential_of_a_linear_velocity_is_the_matrix_exponential(shape, spacing):
    rates = torch.tensor([0.10, -0.05, 0.08])[: len(shape)].reshape(1, -1, *[1] * len(shape))
    p = coordinates(shape, spacing)
    displacement = exponentiate(rates * p, spacing, squarings=7)
    expected = (rates.exp() - 1) * p
    assert float(interior((displacement - expected).abs()[0]).max()) < 0.02  # mm: first-order step of 2^-7
    determinant = interior(jacobian_determinant(displacement, spacing))
    assert torch.allclose(determinant, rates.sum().exp().expand_as(determinant), rtol=2e-3)


@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
def test_inverse_is_the_exponential_of_the_negative(shape, spacing):
    p = coordinates(shape, spacing)
    bump = torch.exp(-(p.square().sum(1, keepdim=True)) / 100)
    velocity = 2.0 * bump * torch.ones(1, len(shape), *[1] * len(shape))
    there, back = exponentiate(velocity, spacing), exponentiate(-velocity, spacing)
    assert float(there.abs().max()) > 1.0
    assert float(interior(compose(there, back, spacing).abs()[0]).max()) < 0.1  # mm, a twentieth of the warp


def test_tissue_that_shrinks_is_negative():
    """Resampling by p -> 1.2 p makes an object look smaller by 1.2 along each axis: its tissue lost volume."""
    shape, spacing = (32, 32, 32), (2.0, 2.0, 2.0)
    p = coordinates(shape, spacing)
    velocity = np.log(1.2) * p * torch.exp(-p.square().sum(1, keepdim=True) / 2 / 20**2)
    ball = (p.square().sum(1, keepdim=True).sqrt() < 10).float()
    warped = resample(ball, exponentiate(velocity, spacing), spacing)
    assert warped.sum() < 0.75 * ball.sum()
    log_jacobian = tissue_log_jacobian(exponentiate(-velocity, spacing), spacing)[0]
    assert (log_jacobian[ball[0, 0] > 0] < 0).all()
    volume_of_tissue = (log_jacobian.exp() * ball[0, 0]).sum()
    assert float(volume_of_tissue / warped.sum()) == pytest.approx(1.0, abs=0.03)  # partial volume of the ball


def test_a_displacement_is_inverted_where_it_can_be():
    """p -> p + 3 a sin(p / 3), which stretches by 1 + a at most."""
    spacing = (1.0, 1.5)
    p = coordinates((64, 40), spacing)
    for a, too_much in ((0.9, False), (6.0, True)):
        displacement = torch.stack([3 * a * torch.sin(p[0, 0] / 3), torch.zeros_like(p[0, 0])])[None]
        inverse = invert(displacement, spacing)
        assert bool(inverse.isnan().any()) == too_much
        assert float(inverse.isfinite().float().mean()) > 0.1
        left = compose(displacement, inverse, spacing)
        assert float(left.abs().nan_to_num().max()) < 0.15  # mm, a tenth of a voxel


def test_folding_has_a_negative_determinant():
    displacement = -2.0 * coordinates((12, 12), (1.0, 1.0))
    displacement[:, 1] = 0
    assert (jacobian_determinant(displacement, (1.0, 1.0)) < 0).all()


def test_exponential_on_the_half_resolution_grid_agrees_with_full_resolution():
    """A velocity is exponentiated before it is upsampled: the warp is the same up to interpolation."""
    shape, spacing = (12, 14, 10), (8.0, 8.0, 8.0)
    velocity = 6.0 * torch.exp(-coordinates(shape, spacing).square().sum(1, keepdim=True) / 2 / 20**2).expand(
        1, 3, *shape
    )
    coarse = upsample(exponentiate(velocity, spacing))
    fine = exponentiate(upsample(velocity), [s / 2 for s in spacing])
    assert float(fine.abs().max()) > 5
    assert float((coarse - fine).abs().max()) < 0.25  # mm, on an 8 mm grid
