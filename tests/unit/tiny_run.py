"""A tiny finished run with known answers: what the stages before COMPARE_GROUPS and WRITE_REPORT leave behind.

Hippocampi shrink and a ventricle grows in cases. Every scan has its own oblique, anisotropic native space.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from nilearn.image import resample_img
from scipy.spatial.transform import Rotation

from counterwarp.core import images, layout
from counterwarp.core.geometry import Grid, apply_affine, axis_aligned_grid, write_itk_affine
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION

FOLDS = 3
MARGIN = 2.0
SHRUNK, GROWN = ((-26.0, -22.0, -14.0), (26.0, -22.0, -14.0)), (4.0, -4.0, 18.0)  # centres, RAS+ mm, MNI152
WIDTH = 14.0  # mm; standard deviation of the planted blobs, well above a voxel so that linear sampling is exact enough


@dataclass(frozen=True)
class Run:
    """Folders of a tiny run."""

    results: Path
    truth: Path
    grid: Grid

    @property
    def cohort(self) -> Path:
        return self.results / "cohort"

    @property
    def maps(self) -> Path:
        return self.results / "maps"

    @property
    def transforms(self) -> Path:
        return self.results / "aligned"

    @property
    def group(self) -> Path:
        return self.results / "group"


def planted(points: np.ndarray) -> np.ndarray:
    """How log volume of cases differs from controls at MNI152 points (..., 3), RAS+ mm."""

    def blob(centre: tuple[float, ...]) -> np.ndarray:
        return np.exp(-((points - np.array(centre)) ** 2).sum(-1) / (2 * WIDTH**2))

    return (0.5 * blob(GROWN) - 0.4 * sum(blob(centre) for centre in SHRUNK)).astype(np.float32)


def native_space(rng: np.random.Generator) -> tuple[np.ndarray, Grid]:
    """A T1w-from-MNI152 affine (RAS+ mm) and an oblique, anisotropic, flipped grid that covers the head there."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", rng.uniform(-12, 12, 3), degrees=True).as_matrix() * 1.05
    pose[:3, 3] = rng.uniform(-8, 8, 3)
    axes = Rotation.from_euler("xyz", [9, -7, 11], degrees=True).as_matrix()[:, [1, 2, 0]] * [-4.0, 3.0, 5.0]
    affine = np.eye(4)
    shape = (64, 80, 52)
    affine[:3, :3] = axes
    affine[:3, 3] = apply_affine(pose, np.array([0.0, -18.0, 10.0])) - axes @ ((np.array(shape) - 1) / 2)
    return pose, Grid(shape, affine)


def make_run(folder: Path, n: int = 12, resolution: float = 8.0, seed: int = 0) -> Run:
    """Write a finished run of ``n`` participants (half of them cases) under ``folder``."""
    rng = np.random.default_rng(seed)
    grid = axis_aligned_grid(np.array([-72, -106, -64]), np.array([72, 74, 84]), resolution)
    run = Run(folder / "results", folder / "truth", grid)
    for path in (run.cohort, run.maps, run.transforms, run.truth, run.results / "brains"):
        path.mkdir(parents=True)
    brain, mask = _template(run)
    index = _index(n)
    _write_cohort(run, index, brain, mask, rng)
    for scan in index.itertuples():
        _write_scan(run, scan.scan_id, int(scan.is_case), brain, mask, rng)
    _write_tables(run, index, rng)
    _write_records(run, index)
    (run.truth / "truth.json").write_text(
        json.dumps({"effect": 1.0, "region_changes_percent": {"Hippocampus": -33.0, "Lateral_Ventricle": 65.0}}),
        encoding="utf-8",
    )
    return run


def _template(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """The z-scored MNI152 brain and its mask on the network grid."""
    on_grid = {"target_affine": run.grid.affine, "target_shape": run.grid.shape}
    brain = resample_img(load_mni152_template(resolution=2), **on_grid).get_fdata()
    mask = resample_img(load_mni152_brain_mask(resolution=2), interpolation="nearest", **on_grid).get_fdata() > 0
    return np.where(mask, (brain - brain[mask].mean()) / brain[mask].std(), 0), mask


def _index(n: int) -> pd.DataFrame:
    ids = [f"sub-{i:02d}" for i in range(1, n + 1)]
    is_case = np.arange(n) % 2
    return pd.DataFrame(
        {
            "scan_id": ids,
            "participant_id": ids,
            "session_id": "",
            "group": np.where(is_case, "AD", "CN"),
            "is_case": is_case,
            "fold": np.arange(n) // 2 % FOLDS,
            "chunk": 0,
            "qc_status": "PASS",
            "age": 60 + np.arange(n),
        }
    )


def _write_cohort(run: Run, index: pd.DataFrame, brain: np.ndarray, mask: np.ndarray, rng) -> None:
    index.to_csv(run.cohort / "index.csv", index=False)
    scans = brain + 0.2 * rng.standard_normal((len(index), *brain.shape)) * mask
    np.save(run.cohort / "images.npy", scans.astype(np.float16))
    images.save(run.cohort / "brain_mask.nii.gz", mask.astype(np.uint8), run.grid)
    (run.cohort / "cohort.json").write_text(
        json.dumps({"case": "AD", "control": "CN", "folds": FOLDS}), encoding="utf-8"
    )
    pd.DataFrame(
        [{"scan_id": "sub-90", "stage": "align_affine", "reasons": "template correlation 0.41, expected above 0.6"}]
    ).to_csv(run.cohort / "exclusions.csv", index=False)
    table = index[["scan_id", "participant_id", "session_id", "group", "is_case", "age"]].copy()
    table.insert(3, "t1w", "/data/" + table["scan_id"] + ".nii.gz")
    table.insert(4, "mask", "")
    table.to_csv(run.results / "cohort.csv", index=False)
    pd.DataFrame(
        [{"scan_id": "sub-91", "row": 14, "file": "sub-91.nii.gz", "problem": "truncated", "remedy": "copy it again"}]
    ).assign(severity="image").to_csv(run.results / "problems.csv", index=False)


def _write_scan(run: Run, scan_id: str, is_case: int, brain: np.ndarray, mask: np.ndarray, rng) -> None:
    """Aligned scan, affine, mosaic, truth in native space, and maps that are truth plus noise."""
    pose, native = native_space(rng)
    write_itk_affine(run.transforms / layout.affine(scan_id), pose)
    images.save(run.transforms / layout.aligned_t1w(scan_id), brain.astype(np.float32), run.grid)
    matplotlib.image.imsave(run.transforms / f"{scan_id}_desc-qc_mosaic.png", rng.random((40, 120)), cmap="gray")
    (run.transforms / f"{scan_id}_desc-qc.json").write_text(
        json.dumps(
            {"stage": "align_affine", "version": "0", "settings": None, "inputs": {}, "seconds": 20.0}
            | {"scan_id": scan_id, "status": "PASS", "reasons": [], "metrics": {"template_ncc": 0.8}}
        ),
        encoding="utf-8",
    )
    true_direction = DIRECTION[is_case]
    dose = rng.uniform(0.6, 1.4)
    in_mni = apply_affine(np.linalg.inv(pose), native.points())
    values = ALIGNMENT[true_direction] * dose * planted(in_mni)
    images.save(run.truth / layout.truth_log_jacobian(scan_id, true_direction), values.astype(np.float32), native)
    half = run.grid.coarser(2)
    velocity = 3 * np.stack([np.zeros(half.shape), np.zeros(half.shape), np.ones(half.shape)], axis=-1)
    for direction in layout.DIRECTIONS:
        images.save_displacement(run.maps / layout.velocity(scan_id, direction), ALIGNMENT[direction] * velocity, half)
        noisy = ALIGNMENT[direction] * planted(run.grid.points()) / 2 + 0.03 * rng.standard_normal(run.grid.shape)
        images.save(run.maps / layout.log_jacobian(scan_id, direction), (noisy * mask).astype(np.float32), run.grid)
        images.save(run.maps / layout.simulated_t1w(scan_id, direction), brain.astype(np.float32), run.grid)
    gradient = rng.standard_normal(run.grid.shape).astype(np.float32)
    images.save(run.maps / layout.saliency(scan_id, "gradient"), gradient, run.grid)


def _write_tables(run: Run, index: pd.DataFrame, rng) -> None:
    """Predictions and explanations: the first case is missed; the last scan misses the remove margin."""
    logits = np.where(index["is_case"], 1.5, -1.5) + rng.uniform(-1, 1, len(index))
    logits[1] = -0.5
    for fold in range(FOLDS):
        table = index[["scan_id", "participant_id", "is_case"]].assign(fold=fold, logit=logits)
        table["split"] = np.where(index["fold"] == fold, "test", "train")
        table["probability"] = 1 / (1 + np.exp(-table["logit"]))
        (run.results / f"fold-{fold}").mkdir()
        table.to_csv(run.results / f"fold-{fold}" / "predictions.csv", index=False)
        rows, doses = [], []
        for position in np.flatnonzero(index["fold"] == fold):
            for direction in layout.DIRECTIONS:
                missed = direction == "remove" and position == len(index) - 1
                moved = ALIGNMENT[direction] * (0.5 if missed else 1.2) * MARGIN
                rows.append(
                    {
                        "scan_id": index["scan_id"][position],
                        "participant_id": index["participant_id"][position],
                        "fold": fold,
                        "is_case": index["is_case"][position],
                        "direction": direction,
                        "logit": logits[position],
                        "logit_simulated": logits[position] + moved,
                        "margin": MARGIN,
                        "margin_reached": int(not missed),
                        "velocity_scale": 2.0 if missed else 1.0,
                        "folding_fraction": 0.0,
                        "dose_to_flip": None if missed else 0.5,
                        "mean_displacement_mm": 0.8,
                        "logit_returned": logits[position] + 0.1 * moved,
                        "cycle_error": 0.02,
                        "cycle_mm": 0.1,
                    }
                )
                path = {"dose": np.linspace(0, 1, 21), "logit": logits[position] + moved * np.linspace(0, 1, 21)}
                doses.append(pd.DataFrame({"scan_id": index["scan_id"][position], "direction": direction, **path}))
        pd.concat(doses).to_csv(run.maps / f"doses_fold-{fold}_chunk-0.csv", index=False)
        pd.DataFrame(rows).to_csv(run.maps / f"explanations_fold-{fold}_chunk-0.csv", index=False)


def _write_records(run: Run, index: pd.DataFrame) -> None:
    """One record per task, with seconds that are easy to add up."""
    for stage, seconds, tasks in (("check_cohort", 1.0, 1), ("extract_brain", 20.0, len(index))):
        for task in range(tasks):
            record = {"stage": stage, "version": "0", "settings": {"passes": 3}, "inputs": {"task": task}}
            (run.results / "brains" / f"{stage}_{task}.json").write_text(
                json.dumps(record | {"seconds": seconds}), encoding="utf-8"
            )
    for fold in range(FOLDS):
        for stage, name in (("train_classifier", "classifier"), ("train_simulator", "simulator")):
            record = {"stage": stage, "version": "0", "settings": {"epochs": 60}, "inputs": {"fold": fold}}
            path = run.results / f"fold-{fold}" / f"{name}.json"
            path.write_text(json.dumps(record | {"seconds": 30.0, "margin": MARGIN}), encoding="utf-8")
