"""A packed cohort of noise, brighter in cases: quick to train on."""

import json

import numpy as np
import pandas as pd

from counterwarp.core import images, layout
from counterwarp.core.geometry import Grid, axis_aligned_grid

FOLDS = 3


def write_packed_cohort(folder, scans=12, side=60.0, resolution=8.0):
    """Write a cohort folder as PACK_COHORT does; every second scan is a case's. ``side`` in mm, of all axes
    or of each."""
    random, is_case = np.random.default_rng(0), np.arange(scans) % 2
    grid = axis_aligned_grid(np.zeros(3), np.full(3, side), resolution)
    data = random.standard_normal((scans, *grid.shape)) + is_case[:, None, None, None]
    np.save(folder / "images.npy", data.astype(np.float16))
    images.save(folder / "brain_mask.nii.gz", np.ones(grid.shape, np.uint8), grid)
    names = [f"sub-{i}" for i in range(scans)]
    pd.DataFrame({
        "scan_id": names, "participant_id": names, "session_id": "", "group": np.where(is_case, "case", "control"),
        "is_case": is_case, "fold": np.arange(scans) // 2 % FOLDS, "chunk": 0,
    }).to_csv(folder / "index.csv", index=False)  # fmt: skip
    (folder / "cohort.json").write_text("{}", encoding="utf-8")
    return folder


TARGETS = ("MCI", "AD")  # not in alphabetical order: the order is that of --case


def write_three_groups(folder, scans=18, **options):
    """The same of three groups in turn: controls, MCI (brighter in the front half), AD (brighter in the back half)."""
    write_packed_cohort(folder, scans, **options)
    data, group = np.random.default_rng(1).standard_normal(np.load(folder / "images.npy").shape), np.arange(scans) % 3
    half = data.shape[2] // 2
    data[group == 1, :, half:] += 1
    data[group == 2, :, :half] += 1
    np.save(folder / "images.npy", data.astype(np.float16))
    index = pd.read_csv(folder / "index.csv", keep_default_na=False)
    index = index.assign(is_case=group, group=np.array(["CN", *TARGETS])[group], fold=np.arange(scans) // 3 % FOLDS)
    index.to_csv(folder / "index.csv", index=False)
    return folder


def write_preprocessed(folder, scans, **covariates):
    """Write what PACK_COHORT reads, of scans that all PASS: the cohort's table (every second scan is a case's), the
    template's mask, and the folder of aligned scans, which is returned."""
    grid, random, aligned = Grid((8, 8, 8), np.diag([8.0, 8, 8, 1])), np.random.default_rng(0), folder / "aligned"
    images.save(folder / "grid_mask.nii.gz", np.ones(grid.shape, np.uint8), grid)
    names, is_case = [f"sub-{i}" for i in range(scans)], np.arange(scans) % 2
    for scan in names:
        images.save(aligned / layout.aligned_t1w(scan), random.standard_normal(grid.shape).astype(np.float32), grid)
        for stage, path in (
            ("extract_brain", layout.extraction_record(scan)),
            ("align_affine", layout.quality_record(scan)),
        ):
            record = {"stage": stage, "status": "PASS", "reasons": ["looks right"]}
            (aligned / path).write_text(json.dumps(record), encoding="utf-8")
    pd.DataFrame({
        "scan_id": names, "participant_id": names, "session_id": "", "t1w": "", "mask": "",
        "group": np.where(is_case, "b", "a"), "is_case": is_case, **covariates,
    }).to_csv(folder / "cohort.csv", index=False)  # fmt: skip
    return aligned
