"""Stage ALIGN_AFFINE: one brain onto the network grid in MNI152 space by its affine, with its quality verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from counterwarp.brain.alignment import align_affine as align
from counterwarp.brain.mosaic import draw_flicker, draw_mosaic, side_by_side
from counterwarp.brain.quality import judge
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, read_itk_affine, write_itk_affine
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import AlignmentSettings


def align_affine(
    scan_id: str, t1w: Path, mask: Path, affine: Path, templates: Path, output: Path, settings: AlignmentSettings
) -> None:
    """Write T1w and mask on the network grid, the affine, pictures and the record with PASS, REVIEW or FAIL.

    Raises
    ------
    InputError
        If a file is missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    native, native_mask = (images.read(path, "extract-brain") for path in (t1w, mask))
    template, grid_mask = (
        images.read(templates / name, "prepare-templates") for name in ("MNI152_T1w.nii.gz", "grid_mask.nii.gz")
    )
    to_t1w = read_itk_affine(affine)
    grid = Grid(grid_mask.shape, np.asarray(grid_mask.affine, float))
    inputs = {"t1w": t1w, "mask": mask, "affine": affine}
    with stage_record(output / layout.quality_record(scan_id), "align_affine", settings, **inputs) as record:
        record |= {"scan_id": scan_id, "status": "FAIL", "reasons": [], "metrics": {}}
        try:
            result = align(native, native_mask, template, grid, to_t1w)
        except (InputError, RuntimeError) as error:
            record["reasons"] = [f"alignment to MNI152 failed: {error}"]
            return
        record["metrics"] = result.metrics
        record["status"], record["reasons"] = judge(result.metrics, settings)
        sidecar = {"Units": "z-scored intensity", "SkullStripped": True, "Sources": [Path(t1w).name]}
        images.save(output / layout.aligned_t1w(scan_id), result.t1w, grid, sidecar)
        images.save(output / layout.aligned_mask(scan_id), result.mask.astype(np.uint8), grid)
        write_itk_affine(output / layout.affine(scan_id), to_t1w)
        brains = side_by_side(native, native_mask, template, to_t1w)
        title = f"{scan_id}  {record['status']}  {'; '.join(record['reasons'])}"
        draw_mosaic(output / layout.mosaic(scan_id), native, native_mask, brains, title)
        draw_flicker(output / layout.flicker(scan_id), brains)
