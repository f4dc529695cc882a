"""Cohorts made directly on the network grid, packed, with the truth of every image beside them.

They need no preprocessing: what they measure is the method. Folders are those of ``cohort.store`` and hold in addition
``truth.npy`` (N, *shape) float32: of controls what becoming a case does, of cases what becoming a control does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from nilearn.image import resample_img
from scipy.ndimage import gaussian_filter
from torch import Tensor

from counterwarp.brain.head_template import brain_template
from counterwarp.cohort.planted import PlantedEffect, random_velocity, screened_gradient, true_log_jacobian
from counterwarp.core import images
from counterwarp.core.geometry import Grid, from_itk
from counterwarp.networks.warps import compose, exponentiate, resample

FOLDS = 4
BEST_GUESS = "best_guess.npy"  # of what an image's truth is, where nobody can know it
DOSE_SD = {0: 0.15, 1: 0.25}  # of the disease, around 0 in controls and 1 in cases

GAUSSIAN_WIDTH = 0.1  # standard deviation as a share of the image's side
GAUSSIAN_GROWTH = 0.8  # log volume change aimed at where the disease acts, at dose 1
GAUSSIAN_SIZES = 0.3  # standard deviation of every Gaussian's own size, in doses
GAUSSIAN_NOISE = 0.02  # of the peak
GAUSSIAN_VISIBLE = 0.05  # of the peak: elsewhere there is nothing that a warp could be seen to move

SQUARE_MEDIUM, SQUARE_SHAPE = 0.75, 7.0  # side as a share of the image's: a Weibull distribution
SQUARE_SMALL = 0.7  # below it a square is a case
SQUARE_TEXTURE = 2.5  # pixels of an image of side 224: smoothing of the texture
SQUARE_LEVEL = 0.5  # inside, and minus that outside; also the texture's standard deviation


@dataclass(frozen=True)
class Disease:
    """Which dose of the planted change everybody has: cases around 1, controls around 0."""

    is_case: np.ndarray
    dose: np.ndarray

    @classmethod
    def draw(cls, scans: int, random: np.random.Generator) -> Disease:
        """Every second scan is a case's."""
        is_case = np.arange(scans) % 2
        return cls(is_case, is_case + np.where(is_case, DOSE_SD[1], DOSE_SD[0]) * random.standard_normal(scans))


def write_cohort(
    folder: Path, scans: np.ndarray, truths: np.ndarray, is_case: np.ndarray, mask: np.ndarray, grid: Grid,
    folds: int = FOLDS,
) -> Path:  # fmt: skip
    """Write a packed cohort whose folds alternate, with its truths."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", scans.astype(np.float16))
    np.save(folder / "truth.npy", truths.astype(np.float32))
    images.save(folder / "brain_mask.nii.gz", mask.astype(np.uint8), grid)
    names = [f"sub-{number:04d}" for number in range(len(scans))]
    pd.DataFrame({
        "scan_id": names, "participant_id": names, "session_id": "", "group": np.where(is_case, "case", "control"),
        "is_case": is_case, "fold": np.arange(len(scans)) // 2 % folds, "chunk": 0,
    }).to_csv(folder / "index.csv", index=False)  # fmt: skip
    (folder / "cohort.json").write_text("{}", encoding="utf-8")
    return folder


def four_gaussians(
    folder: Path, scans: int, seed: int, side: int = 32, dimensions: int = 2, effect: float = 1.0,
    larger: tuple[int, int] = (0, 3),
) -> Path:  # fmt: skip
    """Four Gaussians, one per quadrant, of which the two on a diagonal are larger in cases (after Liu et al. 2021).

    All four vary in size and shape in everybody. One pixel is 1 mm; the truth is a log-Jacobian. ``larger``: which two,
    of the four in the order of their coordinates.
    """
    random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    grid = Grid((side,) * dimensions, np.eye(4))
    middle, quarter = (side - 1) / 2, side / 4
    centres = [
        np.array([middle + a * quarter, middle + b * quarter, *[middle] * (dimensions - 2)])
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    positions = np.stack(np.meshgrid(*[np.arange(side)] * dimensions, indexing="ij")).astype(float)
    distances = [np.square(positions - c.reshape(-1, *[1] * dimensions)).sum(0) for c in centres]
    width = GAUSSIAN_WIDTH * side
    growth = [-screened_gradient(GAUSSIAN_GROWTH * np.exp(-d / (4 * width**2)), 1.0, 2 * width) for d in distances]
    sizes = [torch.from_numpy(field.astype(np.float32))[None] for field in growth]
    planted = PlantedEffect(effect * (sizes[larger[0]] + sizes[larger[1]]), grid, {})
    base = torch.from_numpy(sum(np.exp(-d / (2 * width**2)) for d in distances).astype(np.float32))[None, None]
    disease, scans_, truths = Disease.draw(scans, random), [], []
    for case, dose in zip(disease.is_case, disease.dose, strict=True):
        own = random_velocity(grid, {side / 4: 0.02 * side}, generator)
        own += sum(float(s) * v for s, v in zip(GAUSSIAN_SIZES * random.standard_normal(4), sizes, strict=True))
        image = _diseased(base, planted, float(dose), own)[0, 0].numpy()
        image = image + GAUSSIAN_NOISE * random.standard_normal(grid.shape)
        scans_.append((image - image.mean()) / image.std())
        truths.append(true_log_jacobian(planted, own, -1.0 if case else 1.0))
    visible = base[0, 0].numpy() > GAUSSIAN_VISIBLE
    return write_cohort(folder, np.stack(scans_), np.stack(truths), disease.is_case, visible, grid)


def resized_squares(folder: Path, scans: int, seed: int, side: int = 224) -> Path:
    """Textured squares, the small ones cases (the toy of Lanfredi et al., MICCAI 2020); half size: ``side`` 112.

    The truth is a difference of intensity: of a small square, itself resized to the side of a large one, which is drawn
    at random, minus itself; of a large one the other way round. No image shows which side was drawn: beside the truths
    lies ``best_guess.npy``, every square resized to the median side of the other class. One pixel is 1 mm.
    """
    random = np.random.default_rng(seed)
    grid = Grid((side, side), np.eye(4))
    small, large = _square_sides(scans, random)
    is_case = np.arange(scans) % 2
    own = np.where(is_case, small, large)
    other = np.where(is_case, random.permutation(large), random.permutation(small))
    middling = np.where(is_case, np.median(large), np.median(small))
    from_middle = np.abs(np.stack(np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2, indexing="ij")))
    offset = torch.from_numpy(np.stack(np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2, indexing="ij"))).float()

    def square(texture: np.ndarray, fraction: float) -> np.ndarray:
        inside = (from_middle <= fraction * side / 2).all(axis=0)
        return np.where(inside, SQUARE_LEVEL + texture, -SQUARE_LEVEL)

    images_: list[np.ndarray] = []
    truths: list[np.ndarray] = []
    guesses: list[np.ndarray] = []
    for fraction, drawn, usual in zip(own, other, middling, strict=True):
        texture = gaussian_filter(random.standard_normal(grid.shape), SQUARE_TEXTURE * side / 224)
        texture *= SQUARE_LEVEL / texture.std()
        image = square(texture, fraction)
        for becomes, changes in ((drawn, truths), (usual, guesses)):
            shrink = torch.tensor(fraction / becomes - 1, dtype=torch.float32)
            resized = resample(torch.from_numpy(texture).float()[None, None], (shrink * offset)[None], grid.spacing)
            changes.append(square(resized[0, 0].numpy(), becomes) - image)
        images_.append(image)
    write_cohort(folder, np.stack(images_), np.stack(truths), is_case, np.ones(grid.shape, np.uint8), grid)
    np.save(folder / BEST_GUESS, np.stack(guesses).astype(np.float32))
    return folder


def _square_sides(scans: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sides of small and of large squares, ``scans`` of each, as shares of the image's side."""
    drawn = np.minimum(SQUARE_MEDIUM * random.weibull(SQUARE_SHAPE, 20 * scans), 0.98)
    return drawn[drawn < SQUARE_SMALL][:scans], drawn[drawn >= SQUARE_SMALL][:scans]


def atrophied_brains(
    folder: Path, scans: int, seed: int, effect: PlantedEffect, grid: Grid, folds: int = FOLDS
) -> Path:
    """The MNI152 brain with random anatomy and a planted change, on a network grid; the truth is a log-Jacobian."""
    random, fine = np.random.default_rng(seed), effect.grid
    brain, mask = (
        torch.from_numpy(_on_grid(from_itk(image), fine, "linear"))[None, None] for image in brain_template()
    )
    disease, scans_, truths = Disease.draw(scans, random), [], []
    for number, (case, dose) in enumerate(zip(disease.is_case, disease.dose, strict=True)):
        own = random_velocity(fine, {20.0: 2.0}, torch.Generator().manual_seed(seed * scans + number))
        warped = _diseased(torch.cat([brain, mask], dim=1), effect, float(dose), own)[0].numpy()
        image, inside = (_on_grid(nib.Nifti1Image(data, fine.affine), grid) for data in warped)
        inside = inside > 0.5
        image = (image - image[inside].mean()) / image[inside].std()
        scans_.append(np.where(inside, image + 0.05 * random.standard_normal(grid.shape), 0))
        truth = true_log_jacobian(effect, own, -1.0 if case else 1.0)
        truths.append(_on_grid(nib.Nifti1Image(truth, fine.affine), grid))
    inside = _on_grid(nib.Nifti1Image(mask[0, 0].numpy(), fine.affine), grid) > 0.5
    return write_cohort(folder, np.stack(scans_), np.stack(truths), disease.is_case, inside, grid, folds)


def _diseased(base: Tensor, effect: PlantedEffect, dose: float, own: Tensor) -> Tensor:
    """The base image with a dose of the disease, in somebody's own anatomy."""
    spacing = effect.grid.spacing
    warp = compose(exponentiate(dose * effect.velocity, spacing), exponentiate(own, spacing), spacing)
    return resample(base, warp, spacing)


def _on_grid(image: nib.Nifti1Image, grid: Grid, interpolation: str = "continuous") -> np.ndarray:
    """An image on another grid, (X, Y, Z) float32."""
    moved = resample_img(image, grid.affine, grid.shape, interpolation=interpolation, force_resample=True)
    return np.asarray(moved.dataobj, dtype=np.float32)
