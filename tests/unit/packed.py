"""A packed cohort of noise, brighter in cases: quick to train on."""

import numpy as np
import pandas as pd

from counterwarp.core import images
from counterwarp.core.geometry import axis_aligned_grid

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
