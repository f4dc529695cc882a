"""Regions of a finished run beside the volumes that a segmentation measured in the same people.

    python benchmarks/measured_regions.py RESULTS LABELS [--morphometry]

LABELS holds {participant}_dseg.nii.gz and a dictionary muse_dict.csv (Index, Name). A region's measured change is the
difference of the groups' mean log share of the whole brain (all labels); ours is the change of group/regions.csv.
Names are matched by their letters (Left AnG angular gyrus = AngularGyrus_L). RESULTS/group/measured_regions.csv is
written, which the report shows beside ours. With --morphometry the same regions are read from the classic map too: SyN
of every scan, which knows all labels (ten minutes). Printed too: how well the classifiers tell held-out scans apart,
and how many of them the simulators move by the margin.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from counterwarp.core import layout, templates
from counterwarp.explain.group_maps import load_on_grid
from counterwarp.explain.regions import regions_on_grid
from counterwarp.report.results import Results
from counterwarp.stages.evaluate import brain_of
from morphometry import group_difference


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


def measured_shares(labels: Path, people: list[str]) -> pd.DataFrame:
    """Log share of the whole brain of every label, a row per person."""
    rows = {}
    for person in people:
        values, counts = np.unique(np.asarray(nib.load(labels / f"{person}_dseg.nii.gz").dataobj), return_counts=True)
        volumes = pd.Series(counts, index=values.astype(int)).drop(0)
        rows[person] = np.log(volumes / volumes.sum())
    return pd.DataFrame(rows).T


def morphometry(folder: Path, index: pd.DataFrame) -> pd.Series:
    """Volume change of every region, percent, by the classic map of a run's aligned scans."""
    results = Results([folder])
    brain, grid = brain_of(results, index["scan_id"].iloc[0])
    scans = (load_on_grid(results.one(layout.aligned_t1w(scan)), grid) for scan in index["scan_id"])
    difference = group_difference(scans, index["is_case"].to_numpy() == 1, brain, grid)
    regions = regions_on_grid(*templates.atlas(), grid)
    return pd.Series(100 * regions.volume_change(difference), index=regions.names["region"])


def agreement(change: pd.Series, measured: pd.Series) -> dict[str, float]:
    """Rank correlation with the measured change, and the share of regions that have its sign."""
    same = float((np.sign(change) == np.sign(measured)).mean())
    return {"spearman": float(spearmanr(change, measured).statistic), "same_sign": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--morphometry", action="store_true")
    options = parser.parse_args()
    cohort = pd.read_csv(next(options.results.rglob("pipeline_info/cohort/index.csv")))
    people = cohort.drop_duplicates("participant_id").set_index("participant_id")["is_case"]
    shares = measured_shares(options.labels, list(people.index))
    difference = shares[people == 1].mean() - shares[people == 0].mean()
    names = pd.read_csv(options.labels / "muse_dict.csv").set_index("Index")["Name"]
    measured = pd.Series({key(names[i]): v for i, v in difference.dropna().items() if i in names.index})
    ours = pd.read_csv(options.results / "group" / "regions.csv")
    ours["measured_percent"] = [100 * np.expm1(measured.get(key(name), np.nan)) for name in ours["region"]]
    both = ours.dropna(subset="measured_percent")
    table_for_the_report = both[["region", "measured_percent"]].round(3)
    table_for_the_report.to_csv(options.results / "group" / "measured_regions.csv", index=False)
    classic = morphometry(options.results, cohort) if options.morphometry else pd.Series(dtype=float)
    both = both.assign(syn_percent=both["region"].map(classic))
    table = Table("region", "ours, %", "95 % interval", "p between folds", "p of the groups", "SyN, %", "measured, %")
    for row in both.sort_values("measured_percent", key=abs, ascending=False).itertuples():
        interval = f"{row.low_percent:+.1f} to {row.high_percent:+.1f}"
        p = (f"{row.p_fwe:.3f}", f"{row.p_group:.3f}")
        others = (f"{row.syn_percent:+.1f}" if len(classic) else "-", f"{row.measured_percent:+.1f}")
        table.add_row(row.region, f"{row.change_percent:+.1f}", interval, *p, *others)
    Console(width=110).print(table)
    unmatched = ours.loc[ours["measured_percent"].isna(), "region"].tolist()
    found = both[both["p_fwe"] < 0.05]
    right = np.sign(found["change_percent"]) == np.sign(found["measured_percent"])
    evaluation = json.loads((options.results / "evaluation.json").read_text(encoding="utf-8"))
    maps = {"ours": "change_percent"} | ({"morphometry": "syn_percent"} if len(classic) else {})
    summary = {
        "auc": evaluation["classifier"]["auc"], "auc_ci": evaluation["classifier"]["auc_ci"],
        **{key: evaluation["simulator"][key] for key in ("margin_reached", "lengthened", "folding_fraction")},
        "regions": len(both),
        **{name: agreement(both[column], both["measured_percent"]) for name, column in maps.items()},
        "significant": len(found), "significant_of_the_measured_sign": int(right.sum()), "unmatched": unmatched,
    }  # fmt: skip
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
