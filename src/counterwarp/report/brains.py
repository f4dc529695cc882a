"""Slices of maps over anatomy at world positions; the left of a picture is the left of the person, and marked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from nilearn.plotting import find_cut_slices, plot_anat, plot_stat_map

# Perceptually uniform and safe for colour-blind readers; its dark centre melts into the anatomy.
DIVERGING = "berlin"
LIMIT_PERCENTILE = 99.5  # of |map| where it is not 0: colours saturate there, a single voxel does not set the scale
OPAQUE_SHARE = 0.4  # of the colour limit: from here on a map hides the anatomy, below it fades
SLICE_SPACING_MM = 12.0
STRIP = 0.88  # share of the figure's width that slices take; the colour bar has the rest
LABEL_SIZE = 8  # points


@dataclass(frozen=True)
class Panel:
    """One row of a figure: a map with its title, unit and colour limit (of the map itself if it is None)."""

    image: nib.Nifti1Image
    title: str
    unit: str
    bound: float | None = None


@dataclass(frozen=True)
class Portrait:
    """One participant: scan, counterfactual and log-Jacobian."""

    title: str
    before: nib.Nifti1Image
    after: nib.Nifti1Image
    log_jacobian: nib.Nifti1Image


def load(path: Path) -> nib.Nifti1Image:
    """Read a map for plotting."""
    return nib.Nifti1Image.from_filename(str(path))


def choose_slices(image: nib.Nifti1Image, axial: int, coronal: int) -> dict[str, list[float]]:
    """World positions (mm) of the axial (z) and coronal (y) slices where a map is strongest."""
    size = nib.Nifti1Image(np.abs(image.get_fdata()), image.affine)
    cuts: dict[str, list[float]] = {}
    for axis, n in (("z", axial), ("y", coronal)):
        voxels = max(1, round(SLICE_SPACING_MM / float(image.header.get_zooms()["xyz".index(axis)])))
        cuts[axis] = [round(float(cut)) for cut in find_cut_slices(size, axis, n, spacing=voxels)]
    return cuts


def limit(image: nib.Nifti1Image) -> float:
    """Symmetric colour limit of a map, in its unit."""
    size = np.abs(image.get_fdata())
    size = size[size > 0]
    return float(np.percentile(size, LIMIT_PERCENTILE)) if size.size else 1.0


def paint_maps(figure: Figure, panels: list[Panel], template: nib.Nifti1Image, slices: dict[str, list[float]]) -> None:
    """One row per map over the template, the same slices in each, every row with its own symmetric colour bar."""
    height = 1 / len(panels)
    width = STRIP / sum(len(cuts) for cuts in slices.values())
    for row, panel in enumerate(panels):
        bottom = 1 - (row + 1) * height
        bound = panel.bound or limit(panel.image)
        figure.text(0.002, bottom + 0.92 * height, panel.title, fontweight="bold", va="center")
        _backdrop(figure, bottom, 0.84 * height)
        left = 0.0
        for axis, cuts in slices.items():
            axes = figure.add_axes((left, bottom, width * len(cuts), 0.84 * height))
            _overlay(panel.image, template, axis, cuts, bound, figure, axes)
            left += width * len(cuts)
        colour_bar(figure, bottom + 0.06 * height, 0.72 * height, bound, panel.unit)


def paint_portraits(figure: Figure, portraits: list[Portrait], slices: dict[str, list[float]], unit: str) -> None:
    """One row per participant: scan, counterfactual and log-Jacobian over the scan, for each of the slices."""
    height = 1 / len(portraits)
    columns = [(axis, cut, kind) for axis in slices for cut in slices[axis] for kind in ("scan", "after", "map")]
    width = STRIP / len(columns)
    titles = {"scan": "before", "after": "after", "map": "log-Jacobian"}
    for row, portrait in enumerate(portraits):
        bottom = 1 - (row + 1) * height
        bound = limit(portrait.log_jacobian)
        outside = portrait.before.get_fdata() == 0
        before, after = _on_black(portrait.before, outside), _on_black(portrait.after, outside)
        figure.text(0.002, bottom + 0.95 * height, portrait.title, fontweight="bold", va="center")
        _backdrop(figure, bottom, 0.8 * height)
        for column, (axis, cut, kind) in enumerate(columns):
            axes = figure.add_axes((column * width, bottom, width, 0.8 * height))
            figure.text((column + 0.5) * width, bottom + 0.845 * height, titles[kind], ha="center", va="center")
            if kind == "map":
                _overlay(portrait.log_jacobian, before, axis, [cut], bound, figure, axes)
            else:
                _anatomy(before if kind == "scan" else after, axis, cut, figure, axes)
        colour_bar(figure, bottom + 0.06 * height, 0.68 * height, bound, unit)


def _on_black(image: nib.Nifti1Image, outside: np.ndarray) -> nib.Nifti1Image:
    """A z-scored brain with its darkest value outside (there it is 0, which would be mid-grey)."""
    data = image.get_fdata()
    return nib.Nifti1Image(np.where(outside, data.min(), data), image.affine)


def _fading() -> ListedColormap:
    """The diverging colours, transparent at 0 and opaque from ``OPAQUE_SHARE`` of the limit on."""
    values = np.linspace(-1, 1, 256)
    colours = colormaps[DIVERGING](np.linspace(0, 1, 256))
    colours[:, 3] = np.minimum(np.abs(values) / OPAQUE_SHARE, 1)
    return ListedColormap(colours)


def _backdrop(figure: Figure, bottom: float, height: float) -> None:
    figure.add_artist(Rectangle((0, bottom), STRIP, height, color="black", zorder=-1))


def _overlay(
    image: nib.Nifti1Image,
    background: nib.Nifti1Image,
    axis: str,
    cuts: list[float],
    bound: float,
    figure: Figure,
    axes: Axes,
) -> None:
    display = plot_stat_map(
        image,
        bg_img=background,
        cmap=_fading(),
        vmax=bound,
        symmetric_cbar=True,
        threshold=None,
        **_one_axis(axis, cuts, figure, axes),
    )
    display.annotate(size=LABEL_SIZE)


def _anatomy(image: nib.Nifti1Image, axis: str, cut: float, figure: Figure, axes: Axes) -> None:
    display = plot_anat(image, dim=False, **_one_axis(axis, [cut], figure, axes))
    display.annotate(size=LABEL_SIZE)


def _one_axis(axis: str, cuts: list[float], figure: Figure, axes: Axes) -> dict[str, Any]:
    """How nilearn draws slices along one axis into given axes, on black, without its own words and bar."""
    return {
        "display_mode": axis, "cut_coords": cuts, "black_bg": True, "colorbar": False, "annotate": False,
        "figure": figure, "axes": axes,
    }  # fmt: skip


def colour_bar(figure: Figure, bottom: float, height: float, bound: float, unit: str) -> None:
    """The diverging bar at the right of a figure, symmetric around 0, with its unit."""
    axes = figure.add_axes((STRIP + 0.012, bottom, 0.012, height))
    bar = figure.colorbar(ScalarMappable(Normalize(-bound, bound), DIVERGING), cax=axes)
    bar.set_label(unit, size=LABEL_SIZE + 1)
    bar.outline.set_visible(False)
