"""Brain extraction and alignment as nipype interfaces, for use in workflows of one's own.

The pipeline's stages call the same functions directly: nipype itself costs a second of every task.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from counterwarp.brain.alignment import affine_to_mni152, align_affine, registration_targets
from counterwarp.brain.extraction import extract_brain, mask_of_stripped
from counterwarp.brain.quality import judge
from counterwarp.core import images
from counterwarp.core.geometry import Grid, read_itk_affine, write_itk_affine
from counterwarp.core.scans import load_t1w
from counterwarp.core.settings import AlignmentSettings, ExtractionSettings

TEMPLATES = "Folder written by prepare-templates."


class _ExtractBrainInputs(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="Whole-head T1w (NIfTI).")
    mask = File(exists=True, desc="Brain mask on the scan's grid, used instead of extraction.")
    skull_stripped = traits.Bool(False, usedefault=True, desc="Is the scan a brain with 0 around it?")
    templates = Directory(exists=True, mandatory=True, desc=TEMPLATES)
    settings = traits.Instance(ExtractionSettings, args=(), usedefault=True, desc="Scientific settings.")


class _ExtractBrainOutputs(TraitedSpec):
    out_t1w = File(exists=True, desc="Bias-corrected T1w on the scan's grid.")
    out_mask = File(exists=True, desc="Brain mask on the scan's grid.")
    out_affine = File(exists=True, desc="ITK affine, maps MNI152 to T1w points.")
    metrics = traits.Dict(desc="Numbers of the scan's record.")


class ExtractBrain(SimpleInterface):
    """Bias correction, brain extraction and affine registration (``brain.extraction``, ``brain.alignment``)."""

    input_spec = _ExtractBrainInputs
    output_spec = _ExtractBrainOutputs

    def _run_interface(self, runtime: Any) -> Any:
        folder, templates = Path(runtime.cwd), Path(self.inputs.templates)
        scan = load_t1w(self.inputs.t1w)
        mask = None
        if isinstance(self.inputs.mask, str):
            mask = load_t1w(self.inputs.mask)
        elif self.inputs.skull_stripped:
            mask = mask_of_stripped(scan)
        head, head_mask = (images.read(templates / f"head_{k}.nii.gz", "prepare-templates") for k in ("T1w", "mask"))
        targets = registration_targets(templates)
        result = extract_brain(scan, head, head_mask, self.inputs.settings, mask)
        files = {
            "out_t1w": folder / "desc-n4_T1w.nii.gz",
            "out_mask": folder / "desc-brain_mask.nii.gz",
            "out_affine": folder / "from-T1w_to-MNI152_mode-image_xfm.mat",
        }
        write_itk_affine(files["out_affine"], affine_to_mni152(result, *targets))
        nib.save(result.t1w, files["out_t1w"])
        nib.save(result.mask, files["out_mask"])
        self._results = {name: str(file) for name, file in files.items()} | {"metrics": result.metrics}
        return runtime


class _AlignAffineInputs(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="Bias-corrected T1w.")
    mask = File(exists=True, mandatory=True, desc="Its brain mask.")
    affine = File(exists=True, mandatory=True, desc="Its affine, ExtractBrain's out_affine.")
    templates = Directory(exists=True, mandatory=True, desc=TEMPLATES)
    settings = traits.Instance(AlignmentSettings, args=(), usedefault=True, desc="Scientific settings.")


class _AlignAffineOutputs(TraitedSpec):
    out_t1w = File(exists=True, desc="Z-scored brain on the network grid, MNI152 space.")
    out_mask = File(exists=True, desc="Brain mask on the network grid.")
    metrics = traits.Dict(desc="Numbers of the scan's record.")
    status = traits.Enum("PASS", "REVIEW", "FAIL", desc="Verdict of the quality gate.")
    reasons = traits.List(traits.Str, desc="Why not PASS, in words.")


class AlignAffine(SimpleInterface):
    """A brain on the network grid in MNI152 space with a quality verdict (see ``brain.alignment.align_affine``)."""

    input_spec = _AlignAffineInputs
    output_spec = _AlignAffineOutputs

    def _run_interface(self, runtime: Any) -> Any:
        folder, templates = Path(runtime.cwd), Path(self.inputs.templates)
        t1w, mask = (images.read(path, "ExtractBrain") for path in (self.inputs.t1w, self.inputs.mask))
        template = images.read(templates / "MNI152_T1w.nii.gz", "prepare-templates")
        on_grid = images.read(templates / "grid_mask.nii.gz", "prepare-templates")
        grid = Grid(on_grid.shape, np.asarray(on_grid.affine, float))
        result = align_affine(t1w, mask, template, grid, read_itk_affine(self.inputs.affine))
        status, reasons = judge(result.metrics, self.inputs.settings)
        files = {
            "out_t1w": folder / "space-MNI152_desc-preproc_T1w.nii.gz",
            "out_mask": folder / "space-MNI152_desc-brain_mask.nii.gz",
        }
        images.save(files["out_t1w"], result.t1w, grid)
        images.save(files["out_mask"], result.mask.astype(np.uint8), grid)
        verdict = {"metrics": result.metrics, "status": status, "reasons": reasons}
        self._results = {name: str(file) for name, file in files.items()} | verdict
        return runtime
