"""Participants' own segmentations: what a region measures in them, and our maps read in them.

A folder of them holds {participant}_dseg.nii.gz on the grid of the T1w (any label above 0 is brain) and muse_dict.csv
(Index, Name).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from counterwarp.core.geometry import Grid, read_itk_affine
from counterwarp.explain.regions import Regions, regions_on_grid

LOPSIDED = 0.1  # difference of the hemispheres, as a share of both, above which a segmentation has failed
PRESENT = 0.9  # share of the people in whom a region must have been found
HALVES = 100  # splits of the people


@dataclass(frozen=True)
class OwnMap:
    """log-Jacobian (X, Y, Z) of a scan on the network grid.

    ``affine``: ITK affine of the scan (maps MNI152 points to T1w points). ``sign`` turns a change into one from control
    to case.
    """

    person: str
    affine: Path
    sign: float
    log_jacobian: np.ndarray


@dataclass(frozen=True)
class Segmentations:
    """Those of some people.

    Attributes
    ----------
    folder : of the files
    names : Series, of every label
    shares : DataFrame, log share of the whole brain; a row per person whose segmentation is usable, a column per label
    failed : people whose segmentation has lost most of a hemisphere
    """

    folder: Path
    names: pd.Series
    shares: pd.DataFrame
    failed: list[str]

    def difference(self, is_case: pd.Series) -> pd.Series:
        """Mean log share of the cases minus that of the controls, of every label found in nearly everybody."""
        is_case = is_case[self.shares.index] == 1
        found = self.shares.columns[self.shares.notna().mean() >= PRESENT].intersection(self.names.index)
        return (self.shares[is_case].mean() - self.shares[~is_case].mean())[found]

    def reliability(self, is_case: pd.Series) -> float:
        """Rank correlation of the difference with that of as many other people: Spearman and Brown's, of halves."""
        labels, correlations = self.difference(is_case).index, []
        for seed in range(HALVES):
            people = is_case[self.shares.index].sample(frac=1, random_state=seed)
            first = people.groupby(people).cumcount() % 2 == 0
            halves = [
                replace(self, shares=self.shares.loc[people.index[half]]).difference(is_case).reindex(labels)
                for half in (first, ~first)
            ]
            correlations.append(spearmanr(*halves, nan_policy="omit").statistic)
        half = float(np.mean(correlations))
        return 2 * half / (1 + half)

    def mean_change(self, maps: Iterable[OwnMap], grid: Grid) -> pd.Series:
        """Mean over the people with a usable segmentation of their own regions' log change, of every label."""
        changes, people = [], []
        for own in maps:
            if own.person in self.shares.index:
                regions = self._regions(own.person, own.affine, grid)
                change = own.sign * np.log1p(regions.volume_change(own.log_jacobian))
                changes.append(pd.Series(change, index=regions.names["region"].astype(int)))
                people.append(own.person)
        return pd.DataFrame(changes).groupby(people).mean().mean()

    def _regions(self, person: str, affine: Path, grid: Grid) -> Regions:
        """The person's own regions on the network grid; named by their labels."""
        image = nib.load(self.folder / f"{person}_dseg.nii.gz")
        in_mni152 = np.linalg.inv(read_itk_affine(affine)) @ image.affine
        labels = pd.DataFrame({"index": self.names.index, "name": self.names.index.astype(str)})
        return regions_on_grid(nib.Nifti1Image(np.asarray(image.dataobj), in_mni152), labels, grid)


def read_segmentations(folder: Path, people: list[str]) -> Segmentations:
    """Segmentations of the people, without those that have failed."""
    names = pd.read_csv(folder / "muse_dict.csv").set_index("Index")["Name"]
    rows = {}
    for person in people:
        values, counts = np.unique(np.asarray(nib.load(folder / f"{person}_dseg.nii.gz").dataobj), return_counts=True)
        volumes = pd.Series(counts, index=values.astype(int)).drop(0)
        rows[person] = np.log(volumes / volumes.sum())
    shares = pd.DataFrame(rows).T
    left, right = (
        np.exp(shares[[label for label in shares if str(names.get(label)).endswith(side)]]).sum(axis=1)
        for side in ("_L", "_R")
    )
    lopsided = (left - right).abs() / (left + right) > LOPSIDED
    return Segmentations(folder, names, shares[~lopsided], shares.index[lopsided].tolist())


def agreement(change: pd.Series, measured: pd.Series) -> dict[str, float]:
    """Rank correlation with the measured change, and the share of regions that have its sign."""
    same = float((np.sign(change) == np.sign(measured)).mean())
    return {"spearman": float(spearmanr(change, measured).statistic), "same_sign": same}


def key(name: str) -> str:
    """Letters and side of a region's name, whatever the atlas's spelling."""
    side = re.search(r"^(left|right)[ _]|_(L|R)$", name, re.IGNORECASE)
    letter = (side.group(1) or side.group(2))[0].upper() if side else ""
    rest = re.sub(r"^(left|right)[ _]|_(L|R)$", "", name, flags=re.IGNORECASE)
    words = rest.split(" ")
    if len(words) > 1 and sum(c.isupper() for c in words[0]) > 1 and words[1].islower():
        words = words[1:]  # the abbreviation before the name
    letters = re.sub(r"[^a-z0-9]", "", "".join(words).lower().replace(" of the ", " "))
    return f"{letters}:{letter}"
