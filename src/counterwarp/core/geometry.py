"""Grids and coordinate frames. Inside the package every point and vector is RAS+ mm; this module alone
converts to and from ITK's LPS+ mm (transform files, displacement fields)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Grid:
    """A regular voxel grid in RAS+ mm; of synthetic images also in two dimensions, those of the first two axes.

    ``shape`` is in voxels; ``affine`` (4, 4) maps voxel indices to RAS+ mm.
    """

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel edge lengths, mm."""
        return tuple(float(s) for s in np.linalg.norm(self.affine[:3, :3], axis=0)[: len(self.shape)])

    def coarser(self, factor: int) -> Grid:
        """The grid of voxels ``factor`` times as long over the same box."""
        to_this = np.diag([factor, factor, factor, 1.0])
        to_this[:3, 3] = (factor - 1) / 2
        return Grid(tuple(n // factor for n in self.shape), self.affine @ to_this)

    def finer(self, factor: int) -> Grid:
        """The grid of voxels ``factor`` times as short over the same box."""
        to_this = np.diag([1 / factor, 1 / factor, 1 / factor, 1.0])
        to_this[:3, 3] = (1 / factor - 1) / 2
        return Grid(tuple(n * factor for n in self.shape), self.affine @ to_this)

    def points(self) -> np.ndarray:
        """World coordinates of all voxel centres, (X, Y, Z, 3), RAS+ mm."""
        voxels = np.stack(np.meshgrid(*(np.arange(n) for n in self.shape), indexing="ij"), axis=-1)
        return apply_affine(self.affine, voxels)


def axis_aligned_grid(lower: np.ndarray, upper: np.ndarray, resolution: float, multiple: int = 8) -> Grid:
    """An isotropic RAS+ grid that covers a box, its sides rounded up to a multiple of voxels.

    Parameters
    ----------
    lower, upper : (3,) RAS+ mm
        Corners of the box that voxel centres must cover.
    resolution : float
        Voxel edge, mm.
    multiple : int
        Every side has a multiple of this many voxels (networks halve the grid several times).
    """
    lower, upper = np.asarray(lower, float), np.asarray(upper, float)
    needed = np.ceil((upper - lower) / resolution + 1)
    shape = (np.ceil(needed / multiple) * multiple).astype(int)
    affine = np.diag([resolution, resolution, resolution, 1.0])
    affine[:3, 3] = (lower + upper) / 2 - (shape - 1) * resolution / 2
    return Grid(tuple(int(n) for n in shape), affine)


def same_grid(a: nib.Nifti1Image, b: nib.Nifti1Image) -> bool:
    """Do two images share shape and affine (to 0.001 mm, what float32 headers keep)?"""
    return a.shape == b.shape and np.allclose(a.affine, b.affine, atol=1e-3)


def apply_affine(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (..., 3) by a (4, 4) affine."""
    return points @ affine[:3, :3].T + affine[:3, 3]


def ras_matrix(transform: sitk.AffineTransform) -> np.ndarray:
    """An ITK affine (LPS+ mm, with a centre) as a (4, 4) RAS+ mm matrix."""
    lps = np.eye(4)
    lps[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    lps[:3, 3] = np.array(transform.GetTranslation()) + centre - lps[:3, :3] @ centre
    return LPS_FROM_RAS @ lps @ LPS_FROM_RAS


def read_itk_affine(path: str | Path) -> np.ndarray:
    """Read an ITK affine transform file as a (4, 4) RAS+ mm matrix.

    The matrix maps points of the fixed image (the output space of a resampling) to points of the moving image,
    as ITK and ANTs define it.
    """
    return ras_matrix(sitk.AffineTransform(sitk.ReadTransform(str(path))))


def itk_transform(ras: np.ndarray) -> sitk.AffineTransform:
    """A (4, 4) RAS+ mm fixed-to-moving matrix as an ITK transform (LPS+ mm)."""
    lps = LPS_FROM_RAS @ ras @ LPS_FROM_RAS
    return sitk.AffineTransform(lps[:3, :3].flatten().tolist(), lps[:3, 3].tolist())


def write_itk_affine(path: str | Path, ras: np.ndarray) -> None:
    """Write a (4, 4) RAS+ mm fixed-to-moving matrix as an ITK affine transform file (LPS+ mm)."""
    sitk.WriteTransform(itk_transform(ras), str(path))


def to_itk(image: nib.Nifti1Image) -> sitk.Image:
    """A nibabel image (RAS+) as a SimpleITK image (LPS+), float32."""
    affine = LPS_FROM_RAS @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    result = sitk.GetImageFromArray(np.asarray(image.dataobj, dtype=np.float32).T)
    result.SetSpacing(spacing.tolist())
    result.SetOrigin(affine[:3, 3].tolist())
    result.SetDirection((affine[:3, :3] / spacing).flatten().tolist())
    return result


def itk_affine(image: sitk.Image) -> np.ndarray:
    """Voxel index to LPS+ mm, (4, 4)."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine


def from_itk(image: sitk.Image) -> nib.Nifti1Image:
    """A SimpleITK image (LPS+) as a nibabel image (RAS+)."""
    return nib.Nifti1Image(sitk.GetArrayFromImage(image).T, LPS_FROM_RAS @ itk_affine(image))


def itk_displacement(displacement: np.ndarray) -> np.ndarray:
    """Swap a displacement field (..., 3) between RAS+ mm and ITK's LPS+ mm (the same flip both ways)."""
    return displacement * np.array([-1.0, -1.0, 1.0], dtype=displacement.dtype)
