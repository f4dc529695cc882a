"""Whole heads of a simulated cohort: real anatomy, random shape, pose, bias and noise, a planted change in cases."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import torch
from scipy.ndimage import map_coordinates, zoom

from counterwarp.cohort.planted import PlantedEffect, random_velocity, true_log_jacobian
from counterwarp.core.geometry import Grid, apply_affine
from counterwarp.core.settings import SimulationSettings
from counterwarp.networks.warps import compose, exponentiate

MEAN_SCALE = 1.1  # from a head to MNI152, which is larger than most
SCALE_SD = 0.04  # of the head's size per axis
SHIFT_SD = 8.0  # mm, of the head in the scanner
CONTRAST_SD = 0.08  # of the exponent of intensity


@dataclass(frozen=True)
class SimulatedHead:
    """A scan and, on the same grid, the truth of the planted change: log-Jacobian and difference of intensity."""

    t1w: nib.Nifti1Image
    truth: nib.Nifti1Image
    difference: nib.Nifti1Image


def simulate_head(
    base: nib.Nifti1Image, effect: PlantedEffect, dose: float, change: float, resolution: float, seed: int,
    settings: SimulationSettings,
) -> SimulatedHead:  # fmt: skip
    """One participant: base o exp(dose w) o exp(random) o pose.

    Parameters
    ----------
    base : whole head in MNI152 space
    dose : how much of the planted change the scan shows
    change : dose that the truth adds (+, inject) or takes away (-, remove)
    resolution : voxel of the scan, mm

    Returns
    -------
    SimulatedHead, int16 scan and float32 truth on an oblique grid around the head. The difference is of the head
    before contrast, bias field and noise, 1 is its brightest tissue.
    """
    random = np.random.default_rng(seed)
    velocity = random_velocity(
        effect.grid, {20.0: settings.variation, 40.0: 0.8 * settings.variation}, torch.Generator().manual_seed(seed)
    )
    spacing = effect.grid.spacing
    anatomy = exponentiate(velocity, spacing)
    grid, to_base = _scan_geometry(base, resolution, random, settings)
    points = apply_affine(to_base, grid.points())  # of the participant's anatomy in MNI152 space
    voxels = np.moveaxis(apply_affine(np.linalg.inv(effect.grid.affine), points), -1, 0)
    blurred = _anti_aliased(base, resolution)

    def intensity_at(level: float) -> np.ndarray:
        inner = compose(exponentiate(level * effect.velocity, spacing), anatomy, spacing)
        displaced = points + np.stack([_sample(u, voxels) for u in inner[0].numpy()], axis=-1)
        return _sample(blurred, np.moveaxis(apply_affine(np.linalg.inv(base.affine), displaced), -1, 0))

    intensity = intensity_at(dose)
    difference = (intensity_at(dose + change) - intensity) / np.percentile(intensity, 99.5)
    truth = _sample(true_log_jacobian(effect, velocity, change), voxels).astype(np.float32)
    scan = _degrade(intensity, random, settings)
    return SimulatedHead(*(nib.Nifti1Image(a, grid.affine) for a in (scan, truth, difference.astype(np.float32))))


def _sample(data: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Linear interpolation at voxel coordinates (3, ...), 0 outside."""
    return map_coordinates(data, voxels, order=1, mode="constant", cval=0.0)


def _anti_aliased(base: nib.Nifti1Image, resolution: float) -> np.ndarray:
    """The base blurred to the scan's resolution."""
    from scipy.ndimage import gaussian_filter

    old = np.linalg.norm(base.affine[:3, :3], axis=0)
    return gaussian_filter(
        np.asarray(base.dataobj, np.float32), 0.4 * np.sqrt(np.maximum(resolution**2 - old**2, 0)) / old
    )


def _scan_geometry(
    base: nib.Nifti1Image, resolution: float, random: np.random.Generator, settings: SimulationSettings
) -> tuple[Grid, np.ndarray]:
    """A slightly oblique scan grid and the affine from scanner to base coordinates (both RAS+ mm)."""
    angles = np.deg2rad(random.normal(0, settings.rotation, 3))
    rotation = np.array(sitk.Euler3DTransform((0, 0, 0), *angles.tolist()).GetMatrix()).reshape(3, 3)
    to_base = np.eye(4)
    to_base[:3, :3] = rotation @ np.diag(MEAN_SCALE + random.normal(0, SCALE_SD, 3))
    to_base[:3, 3] = random.normal(0, SHIFT_SD, 3)
    tilt = np.deg2rad(random.normal(0, 3, 3))
    axes = np.array(sitk.Euler3DTransform((0, 0, 0), *tilt.tolist()).GetMatrix()).reshape(3, 3)
    extent = np.array(base.shape) * np.linalg.norm(base.affine[:3, :3], axis=0) / MEAN_SCALE + 20
    shape = np.ceil(extent / resolution).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * resolution
    centre = apply_affine(base.affine, (np.array(base.shape) - 1) / 2)
    at = apply_affine(np.linalg.inv(to_base), centre)
    affine[:3, 3] = at - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(tuple(int(n) for n in shape), affine), to_base


def _degrade(intensity: np.ndarray, random: np.random.Generator, settings: SimulationSettings) -> np.ndarray:
    """Contrast, bias field and Rician noise; int16 with 1000 as the brightest tissue."""
    image = np.clip(intensity / np.percentile(intensity, 99.5), 0, 1.5) ** (1 + random.normal(0, CONTRAST_SD))
    coarse = random.normal(0, settings.bias, (3, 3, 3))
    image *= np.exp(zoom(coarse, np.array(image.shape) / 3, order=3, grid_mode=True, mode="nearest"))
    noise = random.normal(0, settings.noise, (2, *image.shape))
    return np.round(1000 * np.hypot(image + noise[0], noise[1])).astype(np.int16)
