"""Command warp-scan: the warp of a scan at any dose, on the network grid or where the scan lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import read_itk_affine
from counterwarp.core.provenance import stage_record
from counterwarp.explain.fields import read_field
from counterwarp.explain.native import displacement_on_native, map_on_native, resample_on_native
from counterwarp.networks.fields import inverse_warp, warp
from counterwarp.networks.warps import tissue_log_jacobian


def warp_scan(velocity: Path, dose: float, t1w: Path, affine: Path | None, output: Path) -> None:
    """Write warp, log-Jacobian and simulated scan at a dose.

    Parameters
    ----------
    velocity : a file of map-jacobians; of a simulator of displacements, which has none, the warp
    dose : 0 leaves the scan as it is, 1 is the simulator's own warp
    t1w : the aligned T1w or, with ``affine``, the scan in its own space on any grid
    affine : the pipeline's ITK affine of the scan, MNI152 to T1w points

    Raises
    ------
    InputError
        If the velocity is not named as map-jacobians does, or the T1w has another grid than the warp.
    """
    scan_id, direction = _entities(velocity)
    inputs = {"velocity": velocity, "dose": dose, "t1w": t1w, "affine": affine}
    with stage_record(output / f"{scan_id}_desc-{direction}_dose.json", "warp_scan", **inputs):
        field, kind, grid = read_field(velocity)
        displacement = warp(field, kind, grid.spacing, dose)[0].movedim(0, -1).numpy()
        log_jacobian = tissue_log_jacobian(inverse_warp(field, kind, grid.spacing, dose), grid.spacing)[0].numpy()
        image, own = images.load(t1w)
        names = layout.native_warp, layout.native_log_jacobian, layout.native_simulated_t1w
        if affine is not None:
            matrix = read_itk_affine(affine)
            displacement = displacement_on_native(displacement, grid, matrix, own)
            log_jacobian = map_on_native(log_jacobian, grid, matrix, own)
        elif own.shape == grid.shape and np.allclose(own.affine, grid.affine, atol=1e-3):
            names = layout.warp, layout.log_jacobian, layout.simulated_t1w
        else:
            raise InputError(
                f"{t1w}: expected the aligned T1w on the grid {grid.shape} at {grid.spacing} mm, got {own.shape} at "
                f"{own.spacing} mm. For a scan in its own space give its --affine (*_from-T1w_to-MNI152_*_xfm.mat)."
            )
        simulated = resample_on_native(image, own, displacement)
        warp_file, jacobian_file, simulated_file = (output / name(scan_id, direction) for name in names)
        common = {"Direction": direction, "Dose": dose}
        images.save_displacement(warp_file, displacement, own, common | {"Units": "mm", "Frame": "LPS+ (ITK)"})
        images.save(jacobian_file, log_jacobian, own, common | {"Units": "natural log of the volume ratio"})
        images.save(simulated_file, simulated, own, common)


def _entities(velocity: Path) -> tuple[str, str]:
    """Scan and direction of a velocity or warp file."""
    scan_id = velocity.name.partition("_space-")[0]
    for direction in layout.DIRECTIONS:
        if velocity.name in (layout.velocity(scan_id, direction), layout.warp(scan_id, direction)):
            return scan_id, direction
    raise InputError(
        f"{velocity}: expected a velocity named {layout.velocity('SCAN', 'inject')}, as map-jacobians does."
    )
