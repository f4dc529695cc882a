"""Stage PREPARE_TEMPLATES: head template with brain mask, MNI152 brain, network grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn.image import resample_img

from counterwarp.brain.head_template import brain_template, build_head_template
from counterwarp.brain.registration import from_itk
from counterwarp.core import images, templates
from counterwarp.core.provenance import stage_record


def prepare_templates(resolution: float, output: Path) -> None:
    """Write head_T1w, head_mask, MNI152_T1w, MNI152_mask and grid_mask (MNI152 brain on the network grid)."""
    output.mkdir(parents=True, exist_ok=True)
    with stage_record(output / "templates.json", "prepare_templates", resolution=resolution):
        head = build_head_template()
        nib.save(head["head"], output / "head_T1w.nii.gz")
        nib.save(head["head_mask"], output / "head_mask.nii.gz")
        t1w, mask = (from_itk(image) for image in brain_template())
        nib.save(t1w, output / "MNI152_T1w.nii.gz")
        nib.save(mask, output / "MNI152_mask.nii.gz")
        grid = templates.network_grid(resolution)
        inside = resample_img(mask, grid.affine, grid.shape, interpolation="continuous", force_resample=True)
        images.save(output / "grid_mask.nii.gz", (np.asarray(inside.dataobj) > 0.5).astype(np.uint8), grid)
