"""Tables of volume change per region: of every scan, and of the group with its inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as t_distribution

from counterwarp.core.settings import ComparisonSettings
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION
from counterwarp.explain.inference import CONFIDENCE, infer, make_design
from counterwarp.explain.regions import Regions


def of_scan(log_jacobians: dict[str, np.ndarray], is_case: int, regions: Regions, to_native: float) -> pd.DataFrame:
    """Regions of one scan.

    Parameters
    ----------
    log_jacobians : (X, Y, Z) by direction
    to_native : ratio of a volume in the scan to the same in MNI152 space

    Returns
    -------
    DataFrame, a row per region: ``volume_ml`` of the atlas's region brought to the scan by the affine, change under
    inject and remove in ml and percent, and ``aligned_log``: log volume ratio of case to control that the scan's own
    direction implies.
    """
    table = pd.DataFrame({"region": regions.names["region"], "volume_ml": regions.names["volume_ml"] * to_native})
    for direction, values in log_jacobians.items():
        change = regions.volume_change(np.nan_to_num(values))
        table[f"{direction}_ml"] = change * table["volume_ml"]
        table[f"{direction}_percent"] = 100 * change
    own = DIRECTION[is_case]
    return table.assign(aligned_log=ALIGNMENT[own] * np.log1p(table[f"{own}_percent"] / 100))


def write(
    output: Path,
    scans: pd.DataFrame,
    people: pd.DataFrame,
    regions: Regions,
    settings: ComparisonSettings,
    seed: int,
    planted: np.ndarray | None,
) -> None:
    """Write ``regions_scans.csv`` (a row per scan and region) and ``regions.csv`` (the group, largest change first)."""
    first = ["scan_id", "participant_id", "is_case", "region"]
    numbers = [name for name in scans if name not in first]
    rounded = scans[first + numbers].round(dict.fromkeys(numbers, 4))
    rounded.drop(columns="aligned_log").to_csv(output / "regions_scans.csv", index=False)
    group = of_group(scans, people, regions, settings, seed)
    if planted is not None:
        group.insert(3, "planted_percent", 100 * planted)
    order = group["change_percent"].abs().sort_values(ascending=False).index
    group.loc[order].round(5).to_csv(output / "regions.csv", index=False)


def of_group(
    scans: pd.DataFrame, people: pd.DataFrame, regions: Regions, settings: ComparisonSettings, seed: int
) -> pd.DataFrame:
    r"""A row per region: change from control to case with its 95 % interval, effect size and corrected p.

    The interval and the test are of the mean log ratio over participants (sign-aligned, covariates regressed out), the
    p-value is corrected over the regions by the largest \|t\|.
    """
    per_person = scans.groupby(["participant_id", "region"], sort=False)["aligned_log"].mean().unstack(sort=False)
    values = per_person.loc[people["participant_id"], regions.names["region"]].to_numpy(np.float32)
    design = make_design(people, np.arange(len(people)), settings.tested, settings.nuisance)
    found = infer(values, design, settings.permutations, seed)
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    reach = t_distribution.ppf((1 + CONFIDENCE) / 2, design.degrees_of_freedom) * error
    by_direction = scans.groupby(["is_case", "region"], sort=False)[["inject_percent", "remove_percent"]].mean()
    return pd.DataFrame({
        "region": regions.names["region"],
        "volume_ml": regions.names["volume_ml"],
        "change_percent": 100 * np.expm1(mean),
        "low_percent": 100 * np.expm1(mean - reach),
        "high_percent": 100 * np.expm1(mean + reach),
        "inject_controls_percent": by_direction.loc[0].loc[regions.names["region"], "inject_percent"].to_numpy(),
        "remove_cases_percent": by_direction.loc[1].loc[regions.names["region"], "remove_percent"].to_numpy(),
        "effect": found["effect"], "effect_low": found["effectLow"], "effect_high": found["effectHigh"],
        "t": found["t"], "p_fwe": 10 ** -found["log10pFWE"], "q_fdr": found["qFDR"],
    })  # fmt: skip
