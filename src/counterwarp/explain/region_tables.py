"""Tables of volume change per region: of every scan, and of the group with its inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from counterwarp.core.settings import ComparisonSettings
from counterwarp.explain import contrasts
from counterwarp.explain.contrasts import Contrast
from counterwarp.explain.designs import MEAN
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION
from counterwarp.explain.inference import infer, interval, mean_over_folds
from counterwarp.explain.regions import Regions


def of_scan(
    log_jacobians: dict[str, np.ndarray],
    flipped: dict[str, tuple[float, np.ndarray]],
    is_case: int,
    regions: Regions,
    to_native: float,
) -> pd.DataFrame:
    """Regions of one scan.

    Parameters
    ----------
    log_jacobians : (X, Y, Z) by direction, at full dose
    flipped : smallest dose that flips the decision and the map (X, Y, Z) at that dose, by direction; none if the full
        dose does not
    to_native : ratio of a volume in the scan to the same in MNI152 space

    Returns
    -------
    DataFrame, a row per region: ``volume_ml`` of the atlas's region brought to the scan by the affine, change under
    inject and remove in ml and percent, the same at the dose that flips the decision (empty if none does),
    ``aligned_log``: log volume ratio of case to control that the scan's own direction implies, and ``both_log``: the
    mean of what both directions imply.
    """
    table = pd.DataFrame({"region": regions.names["region"], "volume_ml": regions.names["volume_ml"] * to_native})
    for direction, values in log_jacobians.items():
        change = regions.volume_change(np.nan_to_num(values))
        table[f"{direction}_ml"] = change * table["volume_ml"]
        table[f"{direction}_percent"] = 100 * change
        dose, at_flip = flipped.get(direction, (np.nan, None))
        change = np.full(len(table), np.nan) if at_flip is None else regions.volume_change(np.nan_to_num(at_flip))
        table[f"{direction}_dose_to_flip"] = dose
        table[f"{direction}_flip_ml"] = change * table["volume_ml"]
        table[f"{direction}_flip_percent"] = 100 * change
    implied = {d: sign * np.log1p(table[f"{d}_percent"] / 100) for d, sign in ALIGNMENT.items()}
    return table.assign(aligned_log=implied[DIRECTION[is_case]], both_log=sum(implied.values()) / len(implied))


def write(
    output: Path,
    scans: pd.DataFrame,
    people: pd.DataFrame,
    regions: Regions,
    settings: ComparisonSettings,
    seed: int,
    planted: np.ndarray | None,
) -> None:
    """Write ``regions_scans.csv`` (a row per scan and region), ``regions.csv`` (the group, largest change first) and,
    if a covariate is tested, ``regions_tested.csv`` (a row per contrast and region)."""
    first = ["scan_id", "participant_id", "is_case", "region"]
    numbers = [name for name in scans if name not in first]
    rounded = scans[first + numbers].round(dict.fromkeys(numbers, 4))
    rounded.drop(columns=["aligned_log", "both_log"]).to_csv(output / "regions_scans.csv", index=False)
    aligned, both = (_per_person(scans, name, people, regions) for name in ("aligned_log", "both_log"))
    asked = contrasts.standard(people, aligned, both, settings.nuisance)
    group = of_group(scans, asked, regions, settings, seed)
    if planted is not None:
        group.insert(3, "planted_percent", 100 * planted)
    order = group["change_percent"].abs().sort_values(ascending=False).index
    group.loc[order].round(5).to_csv(output / "regions.csv", index=False)
    if settings.tested != MEAN:
        further, _ = contrasts.of_covariate(people, aligned, both, settings.tested, settings.nuisance)
        tested = of_covariate(further, regions, settings, seed)
        tested.round(5).to_csv(output / "regions_tested.csv", index=False)


def _per_person(scans: pd.DataFrame, column: str, people: pd.DataFrame, regions: Regions) -> np.ndarray:
    """(participants, regions): mean over a participant's scans."""
    wide = scans.groupby(["participant_id", "region"], sort=False)[column].mean().unstack(sort=False)
    return wide.loc[people["participant_id"], regions.names["region"]].to_numpy(np.float32)


def of_group(
    scans: pd.DataFrame, asked: list[Contrast], regions: Regions, settings: ComparisonSettings, seed: int
) -> pd.DataFrame:
    r"""A row per region: change from control to case with its 95 % interval over folds, effect size, corrected p.

    ``p_fwe`` tests the sign-aligned log ratio (its mean between folds), ``p_group`` whether the change that the
    simulators ask for differs between held-out cases and controls; both are corrected over the regions by the largest
    \|t\| (of the mean: moderated).
    """
    by_name = {contrast.name: contrast for contrast in asked}
    mean_test, group_test = by_name["aligned"], by_name[contrasts.GROUP_DIFFERENCE]
    design = mean_test.design
    found = infer(mean_test.values, design, settings.permutations, seed)
    group = infer(group_test.values, group_test.design, settings.permutations, seed)
    mean, error = mean_over_folds(mean_test.values, design)
    reach = interval(design) * error
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
        "t": found["t"], "moderated_t": found["moderatedT"], "p_fwe": 10 ** -found["log10pFWE"],
        "q_fdr": found["qFDR"],
        "t_group": group["t"], "p_group": 10 ** -group["log10pFWE"],
    })  # fmt: skip


def of_covariate(asked: list[Contrast], regions: Regions, settings: ComparisonSettings, seed: int) -> pd.DataFrame:
    """A row per contrast of the tested covariate and region: statistic, effect with its interval, corrected p."""
    tables = []
    for contrast in asked:
        design = contrast.design
        found = infer(contrast.values, design, settings.permutations, seed, comparisons=contrast.comparisons)
        tables.append(pd.DataFrame({
            "contrast": contrast.name, "region": regions.names["region"], "participants": len(design.rows),
            "statistic": design.statistic, "value": found[design.statistic], "effect": found["effect"],
            "effect_low": found.get("effectLow", np.nan), "effect_high": found.get("effectHigh", np.nan),
            "p_fwe": 10 ** -found["log10pFWE"], "q_fdr": found["qFDR"],
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)
