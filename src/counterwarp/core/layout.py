"""File names: BIDS-Derivatives for everything that belongs to a scan, one place for all of them."""

from __future__ import annotations

SPACE = "MNI152"
HEAD_IN_MNI152 = f"from-head_to-{SPACE}_mode-image_xfm.mat"  # of prepare-templates
DIRECTIONS = ("inject", "remove")


def target_folder(target: str) -> str:
    """Folder of the products of one of several case groups."""
    return f"target-{target}"


def scan_file(scan_id: str, suffix: str, desc: str | None = None, space: str | None = None) -> str:
    """Name of a file of one scan, e.g. ``sub-01_space-MNI152_desc-preproc_T1w.nii.gz``.

    ``scan_id`` holds the entities sub[, ses][, run]; ``suffix`` includes the extension when it is not .nii.gz.
    """
    entities = [scan_id]
    if space:
        entities.append(f"space-{space}")
    if desc:
        entities.append(f"desc-{desc}")
    return "_".join([*entities, suffix if "." in suffix else f"{suffix}.nii.gz"])


def native_t1w(scan_id: str) -> str:
    """Bias-corrected T1w on the scan's own grid."""
    return scan_file(scan_id, "T1w", desc="n4")


def native_mask(scan_id: str) -> str:
    """Brain mask on the scan's own grid."""
    return scan_file(scan_id, "mask", desc="brain")


def extraction_record(scan_id: str) -> str:
    """Record of the brain extraction: status, reasons, metrics."""
    return f"{scan_id}_desc-extraction.json"


def quality_record(scan_id: str) -> str:
    """Record of the alignment with the verdict of the quality gate."""
    return f"{scan_id}_desc-qc.json"


def mosaic(scan_id: str) -> str:
    """Picture of a scan for the reviewer."""
    return f"{scan_id}_desc-qc_mosaic.png"


def flicker(scan_id: str) -> str:
    """Picture of the aligned brain above the template, to be shown in turn."""
    return f"{scan_id}_desc-qc_flicker.png"


def aligned_t1w(scan_id: str) -> str:
    """Skull-stripped, z-scored T1w on the network grid in MNI152 space."""
    return scan_file(scan_id, "T1w", desc="preproc", space=SPACE)


def aligned_mask(scan_id: str) -> str:
    """Brain mask on the network grid in MNI152 space."""
    return scan_file(scan_id, "mask", desc="brain", space=SPACE)


def affine(scan_id: str) -> str:
    """ITK affine that resamples the T1w into MNI152 space (maps MNI152 points to T1w points)."""
    return f"{scan_id}_from-T1w_to-{SPACE}_mode-image_xfm.mat"


def log_jacobian(scan_id: str, direction: str) -> str:
    """log det of the tissue's own volume change under inject or remove; negative = loses volume."""
    return scan_file(scan_id, "logjacobian", desc=direction, space=SPACE)


def simulated_t1w(scan_id: str, direction: str) -> str:
    """The counterfactual scan."""
    return scan_file(scan_id, "T1w", desc=direction, space=SPACE)


def warp(scan_id: str, direction: str) -> str:
    """ITK displacement field (LPS+ mm) that resamples the aligned T1w into the counterfactual."""
    return scan_file(scan_id, "warp", desc=direction, space=SPACE)


def native_warp(scan_id: str, direction: str) -> str:
    """The same on the scan's own grid: resamples the scan where it lies (LPS+ mm)."""
    return scan_file(scan_id, "warp", desc=direction, space="T1w")


def native_simulated_t1w(scan_id: str, direction: str) -> str:
    """The counterfactual scan on its own grid."""
    return scan_file(scan_id, "T1w", desc=direction, space="T1w")


def native_log_jacobian(scan_id: str, direction: str) -> str:
    """log volume change of the tissue on the scan's own grid."""
    return scan_file(scan_id, "logjacobian", desc=direction, space="T1w")


def velocity(scan_id: str, direction: str) -> str:
    """Stationary velocity field (LPS+ mm) whose exponential at dose t is the warp."""
    return scan_file(scan_id, "velocity", desc=direction, space=SPACE)


def saliency(scan_id: str, method: str) -> str:
    """Attribution map of a baseline method, see ``explain.saliency``."""
    return scan_file(scan_id, "saliency", desc=method, space=SPACE)


def truth_log_jacobian(scan_id: str, direction: str) -> str:
    """Planted log-Jacobian on the scan's own grid (simulated cohorts only)."""
    return scan_file(scan_id, "logjacobian", desc=direction)


def truth_difference(scan_id: str, direction: str) -> str:
    """How the planted change alone alters the scan's intensity (simulated cohorts only)."""
    return scan_file(scan_id, "difference", desc=direction)


def group_map(name: str, suffix: str = "logjacobian") -> str:
    """Map over participants, e.g. ``space-MNI152_desc-injectControl_logjacobian.nii.gz``."""
    return f"space-{SPACE}_desc-{name}_{suffix}.nii.gz"


def group_statistic(name: str, statistic: str) -> str:
    """Statistic of a group map, e.g. ``space-MNI152_desc-aligned_stat-t_statmap.nii.gz``."""
    return f"space-{SPACE}_desc-{name}_stat-{statistic}_statmap.nii.gz"
