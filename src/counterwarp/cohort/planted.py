"""The planted atrophy: a stationary velocity field whose flow shrinks some regions and grows others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from nilearn.image import resample_img
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from counterwarp.core import templates
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, axis_aligned_grid
from counterwarp.core.settings import SimulationSettings
from counterwarp.networks.warps import INTERPOLATION, compose, exponentiate, jacobian_determinant

RESOLUTION = 2.0  # mm: of the fields; images are sharper
EDGE = 2.4  # mm: smoothing of the regions' borders in the target map
SCREENING_LENGTH = 30.0  # mm: how far around a region the tissue gives way
PADDING = 24  # voxels: so that the Fourier transform's wrap-around does not reach the brain


@dataclass(frozen=True)
class PlantedEffect:
    """A velocity field on the base grid, (1, D, *shape), mm: an image resampled by exp(dose * velocity) looks as if
    its tissue had changed by ``log_jacobian``(dose)."""

    velocity: Tensor
    grid: Grid
    regions: dict[str, np.ndarray]

    def log_jacobian(self, dose: float) -> np.ndarray:
        """log volume change of the base's tissue at a dose, on the base grid; negative = loses volume."""
        displacement = exponentiate(-dose * self.velocity, self.grid.spacing)
        return jacobian_determinant(displacement, self.grid.spacing).log()[0].numpy()

    def region_changes(self, dose: float) -> dict[str, float]:
        """Volume change of every planted region at a dose, percent."""
        ratio = np.exp(self.log_jacobian(dose))
        return {name: float(100 * (ratio[mask].mean() - 1)) for name, mask in self.regions.items()}


def plant_effect(settings: SimulationSettings) -> PlantedEffect:
    """Solve for the velocity: its divergence is the wanted log volume change, rotation-free, fading around it.

    The forward velocity is w = grad p with lap p - p / L^2 = target (screened Poisson equation, by FFT).

    Raises
    ------
    InputError
        If a region is not a name in the atlas.
    """
    grid = axis_aligned_grid(*templates.BRAIN_BOX, RESOLUTION, multiple=16)
    image, table = templates.atlas()
    labels = np.asarray(
        resample_img(image, grid.affine, grid.shape, interpolation="nearest", force_resample=True).dataobj
    )
    regions, target = {}, np.zeros(grid.shape)
    for names, change in ((settings.shrink, settings.shrink_log), (settings.grow, settings.grow_log)):
        for name in filter(None, names.split(",")):
            rows = table[table["name"].str.contains(f"^(?:Left|Right)_{name.strip()}$", case=False)]
            if rows.empty:
                raise InputError(f"region '{name}' is not in the Neuromorphometrics atlas; its names: see --help")
            regions[name.strip()] = np.isin(labels, rows["index"])
            target[regions[name.strip()]] = change * settings.effect
    forward = screened_gradient(gaussian_filter(target, EDGE / RESOLUTION), RESOLUTION)
    return PlantedEffect(torch.from_numpy(-forward.astype(np.float32))[None], grid, regions)


def screened_gradient(target: np.ndarray, spacing: float, length: float = SCREENING_LENGTH) -> np.ndarray:
    """grad p with lap p - p / length^2 = target, (D, *shape); mm when target is dimensionless, length in mm."""
    padded = np.pad(target, PADDING)
    waves = np.meshgrid(*(2 * np.pi * np.fft.fftfreq(n, spacing) for n in padded.shape), indexing="ij")
    potential = np.fft.fftn(padded) / -(sum(k**2 for k in waves) + length**-2)
    inner = (slice(PADDING, -PADDING),) * target.ndim
    return np.stack([np.fft.ifftn(1j * k * potential).real[inner] for k in waves])


def random_velocity(grid: Grid, scales: dict[float, float], generator: torch.Generator) -> Tensor:
    """Smooth random velocity, (1, D, *shape), mm: for every control-point spacing (mm) its standard deviation (mm)."""
    dimensions = len(grid.shape)
    velocity = torch.zeros(1, dimensions, *grid.shape)
    for distance, sd in scales.items():
        points = [round(n * s / distance) + 1 for n, s in zip(grid.shape, grid.spacing, strict=True)]
        control = sd * torch.randn(1, dimensions, *points, generator=generator)
        velocity += F.interpolate(control, grid.shape, mode=INTERPOLATION[dimensions], align_corners=True)
    return velocity


def true_log_jacobian(effect: PlantedEffect, velocity: Tensor, dose: float) -> np.ndarray:
    """True change of a participant whose anatomy is base o exp(velocity), when the dose of the disease rises.

    The scan is resampled by phi^-1 o exp(dose w) o phi with phi = exp(velocity), so its tissue moves by
    phi^-1 o exp(-dose w) o phi; this is log det D of that map on the participant's grid.
    """
    spacing = effect.grid.spacing
    there, back = exponentiate(velocity, spacing), exponentiate(-velocity, spacing)
    tissue = compose(back, compose(exponentiate(-dose * effect.velocity, spacing), there, spacing), spacing)
    return jacobian_determinant(tissue, spacing).log()[0].numpy()
