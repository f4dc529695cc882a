"""Is a map faithful to the classifier? Deletion and insertion of voxels in its order (Petsiuk et al., BMVC 2018)."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from counterwarp.explain.saliency import GRAY

STEPS = 10  # shares of the brain, at equal distances


@torch.no_grad()
def faithfulness(classifier: nn.Module, image: np.ndarray, values: np.ndarray, brain: np.ndarray) -> float:
    """How early the classifier's evidence goes and comes when voxels do, in the order of a map's size.

    From the largest \\|value\\| to the smallest the brain's voxels are set to the brain's mean intensity (deletion), or
    put back into a brain of that intensity (insertion). The score is the mean over the path of the logit under
    insertion minus that under deletion, as a share of the logit's way from the blank brain to the scan. Towards 1: the
    first voxels are all the evidence; 0: a random order; negative: they are the least of it, or speak against it.

    Parameters
    ----------
    image : (X, Y, Z), z-scored intensity
    values : (X, Y, Z), any map; what is not finite comes last
    brain : (X, Y, Z) bool

    Returns
    -------
    The score; NaN if the classifier has the same logit for the scan and the blank brain.
    """
    order = np.argsort(-np.nan_to_num(np.abs(values[brain])), kind="stable")
    blank = np.where(brain, GRAY, image)
    deleted, inserted = [], []
    for step in range(STEPS + 1):
        first = np.zeros(len(order), bool)
        first[order[: round(step / STEPS * len(order))]] = True
        chosen = np.zeros_like(brain)
        chosen[brain] = first
        deleted.append(np.where(chosen, blank, image))
        inserted.append(np.where(chosen, image, blank))
    batch = torch.from_numpy(np.stack(deleted + inserted).astype(np.float32))[:, None]
    logits = classifier(batch).numpy().reshape(2, -1)
    way = logits[0, 0] - logits[1, 0]  # the scan's own logit, the blank brain's
    return float((logits[1] - logits[0]).mean() / way) if way else float("nan")
