"""Slices of maps over anatomy, at world positions, left and right marked (radiologists' view is not used:
the left of the picture is the left of the person)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from nilearn.plotting import find_cut_slices, plot_anat, plot_stat_map

# Perceptually uniform and safe for colour-blind readers; its dark centre melts into the anatomy.
DIVERGING = "berlin"
LIMIT_PERCENTILE = 99.5  # of |map| where it is not 0: colours saturate there, a single voxel does not set the scale
OPAQUE_SHARE = 0.4  # of the colour limit: from here on a map hides the anatomy, below it fades
AXIAL, CORONAL = 4, 3
SLICE_SPACING_MM = 12.0


@dataclass(frozen=True)
class Panel:
    """One row of a figure: a map with its title and unit."""

    image: nib.Nifti1Image
    title: str
    unit: str


@dataclass(frozen=True)
class Portrait:
    """One participant: scan, counterfactual and log-Jacobian."""

    title: str
    before: nib.Nifti1Image
    after: nib.Nifti1Image
    log_jacobian: nib.Nifti1Image


def load(path: Path) -> nib.Nifti1Image:
    """Read a map for plotting."""
    return nib.load(str(path))


def choose_slices(image: nib.Nifti1Image) -> dict[str, list[float]]:
    """World positions (mm) of the axial and coronal slices where a map is strongest."""
    size = nib.Nifti1Image(np.abs(image.get_fdata()), image.affine)
    return {
        axis: [round(float(cut)) for cut in find_cut_slices(size, axis, n, spacing=_voxels(image, axis))]
        for axis, n in (("z", AXIAL), ("y", CORONAL))
    }


def limit(image: nib.Nifti1Image) -> float:
    """Symmetric colour limit of a map, in its unit."""
    size = np.abs(image.get_fdata())
    size = size[size > 0]
    return float(np.percentile(size, LIMIT_PERCENTILE)) if size.size else 1.0


def paint_maps(figure: Figure, panels: list[Panel], template: nib.Nifti1Image, slices: dict[str, list[float]]) -> None:
    """One row per map over the template, the same slices in each, every row with its own symmetric colour bar."""
    height = 1 / len(panels)
    for row, panel in enumerate(panels):
        bottom = 1 - (row + 1) * height
        bound = limit(panel.image)
        figure.text(0.005, bottom + 0.93 * height, panel.title, fontweight="bold", va="center")
        width = 0.9 / (AXIAL + CORONAL)
        left = 0.0
        for axis, cuts in slices.items():
            axes = figure.add_axes((left, bottom, width * len(cuts), 0.86 * height))
            _overlay(panel.image, template, axis, cuts, bound, figure, axes)
            left += width * len(cuts)
        bar = figure.add_axes((0.915, bottom + 0.06 * height, 0.012, 0.74 * height))
        _colour_bar(figure, bar, bound, panel.unit)


def paint_portraits(figure: Figure, portraits: list[Portrait], slices: dict[str, list[float]]) -> None:
    """One row per participant: scan, counterfactual and log-Jacobian over the scan, one axial and one coronal slice."""
    height = 1 / len(portraits)
    cuts = {axis: positions[len(positions) // 2] for axis, positions in slices.items()}
    columns = [(axis, kind) for axis in cuts for kind in ("before", "after", "log-Jacobian")]
    width = 0.9 / len(columns)
    for row, portrait in enumerate(portraits):
        bottom = 1 - (row + 1) * height
        bound = limit(portrait.log_jacobian)
        figure.text(0.005, bottom + 0.95 * height, portrait.title, fontweight="bold", va="center")
        for column, (axis, kind) in enumerate(columns):
            axes = figure.add_axes((column * width, bottom, width, 0.82 * height))
            figure.text((column + 0.5) * width, bottom + 0.86 * height, kind, ha="center", va="center")
            if kind == "log-Jacobian":
                _overlay(portrait.log_jacobian, portrait.before, axis, [cuts[axis]], bound, figure, axes)
            else:
                scan = portrait.before if kind == "before" else portrait.after
                _anatomy(scan, axis, cuts[axis], figure, axes)
        bar = figure.add_axes((0.915, bottom + 0.06 * height, 0.012, 0.7 * height))
        _colour_bar(figure, bar, bound, "log volume change")


def _voxels(image: nib.Nifti1Image, axis: str) -> int:
    """The wanted distance between slices in voxels, at least one."""
    return max(1, round(SLICE_SPACING_MM / float(image.header.get_zooms()["xyz".index(axis)])))


def _overlay(image, background, axis, cuts, bound, figure, axes) -> None:
    plot_stat_map(
        image,
        bg_img=background,
        display_mode=axis,
        cut_coords=cuts,
        cmap=DIVERGING,
        vmax=bound,
        symmetric_cbar=True,
        threshold=None,
        transparency=image,
        transparency_range=[0, OPAQUE_SHARE * bound],
        black_bg=True,
        colorbar=False,
        figure=figure,
        axes=axes,
    )


def _anatomy(image, axis, cut, figure, axes) -> None:
    plot_anat(image, display_mode=axis, cut_coords=[cut], black_bg=True, colorbar=False, figure=figure, axes=axes)


def _colour_bar(figure: Figure, axes, bound: float, unit: str) -> None:
    bar = figure.colorbar(ScalarMappable(Normalize(-bound, bound), DIVERGING), cax=axes)
    bar.set_label(unit)
    bar.outline.set_visible(False)
