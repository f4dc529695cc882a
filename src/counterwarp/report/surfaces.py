"""A group map seen whole: projections through the brain, and the cortex of fsaverage5 (in nilearn's package)."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from matplotlib.figure import Figure
from nilearn.datasets import load_fsaverage, load_fsaverage_data
from nilearn.plotting import plot_glass_brain, plot_surf_stat_map
from nilearn.surface import SurfaceImage

from counterwarp.report import brains

FAINT = 0.25  # share of the colour limit: weaker values are left out
VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))


def paint_glass(figure: Figure, image: nib.Nifti1Image, unit: str) -> None:
    """Along every line of sight the value that is largest in size."""
    bound = brains.limit(image)
    display = plot_glass_brain(
        image, display_mode="lyrz", plot_abs=False, cmap=brains.DIVERGING, vmax=bound, vmin=-bound, colorbar=False,
        threshold=FAINT * bound, figure=figure, axes=(0, 0, brains.STRIP, 1), annotate=False, black_bg=True,
    )  # fmt: skip
    display.annotate(size=brains.LABEL_SIZE)
    brains.colour_bar(figure, 0.12, 0.7, bound, unit)


def paint_surface(figure: Figure, image: nib.Nifti1Image, unit: str) -> None:
    """Both hemispheres from outside and from the middle; the map is sampled between white matter and pial surface."""
    bound = brains.limit(image)
    cortex, inner = load_fsaverage("fsaverage5")["pial"], load_fsaverage("fsaverage5")["white_matter"]
    sampled = SurfaceImage.from_volume(cortex, image, inner_mesh=inner)
    mesh = load_fsaverage("fsaverage5")["inflated"]
    folds = load_fsaverage_data("fsaverage5", mesh_type="inflated", data_type="sulcal")
    for column, (side, view) in enumerate(VIEWS):
        axes = figure.add_axes((column * brains.STRIP / 4, -0.1, brains.STRIP / 4, 1.15), projection="3d")
        plot_surf_stat_map(
            stat_map=np.nan_to_num(sampled.data.parts[side]), surf_mesh=mesh.parts[side], hemi=side, view=view,
            cmap=brains.DIVERGING, vmin=-bound, vmax=bound, colorbar=False, engine="matplotlib",
            bg_map=folds.data.parts[side], threshold=FAINT * bound, figure=figure, axes=axes,
        )  # fmt: skip
        for faces in axes.collections:
            faces.set_rasterized(True)  # 20 thousand triangles would be megabytes of SVG
        figure.text((column + 0.5) * brains.STRIP / 4, 0.95, f"{side}, {view}", ha="center")
    brains.colour_bar(figure, 0.12, 0.7, bound, unit)
