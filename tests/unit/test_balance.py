"""What else differs between the groups is found, and said where the report begins."""

import numpy as np
import pandas as pd
import pytest

from counterwarp.brain.tissue import contrast
from counterwarp.core import templates
from counterwarp.explain.balance import group_balance
from counterwarp.report.summary import warnings

N = 40


def cohort(**columns):
    names = [f"sub-{i:02d}" for i in range(N)]
    is_case = (np.arange(N) >= N // 2).astype(int)
    return pd.DataFrame({"scan_id": names, "participant_id": names, "is_case": is_case, "t1w": names, **columns})


def metrics(**columns):
    return pd.DataFrame(columns, index=[f"sub-{i:02d}" for i in range(N)])


def noise(seed=0):
    return np.random.default_rng(seed).normal(size=N)


def row(table, name):
    return table.set_index("property").loc[name]


def test_matched_groups_carry_no_warning():
    table = group_balance(cohort(age=60 + noise(), sex=["M", "F"] * (N // 2)), metrics(contrast_to_noise=noise(1)))
    assert sorted(table["property"]) == ["age", "contrast_to_noise", "sex"]
    assert not table["warn"].any()
    assert row(table, "sex")["size"] == 0


def test_the_size_of_a_difference_is_the_chance_of_a_higher_value():
    values = np.r_[np.arange(20), np.arange(20) + 0.5]  # of 400 pairs the case is above in 1 + 2 + ... + 20
    table = group_balance(cohort(age=values), metrics())
    assert row(table, "age")["size"] == pytest.approx(210 / 400)
    assert row(table, "age")["control"] == "9.5 (5.9)"
    table = group_balance(cohort(brain_volume_ml=1490 + 10 * values), metrics())
    assert row(table, "brain_volume_ml")["control"] == "1580 (59)"  # 1585, to three digits


def test_a_site_of_one_group_alone_is_named():
    table = group_balance(cohort(site=["A"] * 20 + ["A"] * 5 + ["B"] * 15, notes=cohort()["scan_id"] + "!"), metrics())
    assert table["property"].tolist() == ["site"]  # notes, all different, are no covariate
    assert row(table, "site")["warn"] and row(table, "site")["case"] == "A 25%, B 75%"


def test_a_participant_counts_once():
    table = cohort(age=60 + noise())
    many = pd.concat([table, *[table.iloc[[0]].assign(scan_id=f"sub-00_ses-{i}", age=200) for i in range(20)]])
    once = table.assign(age=[np.mean([table["age"][0], *[200] * 20]), *table["age"][1:]])
    assert (
        row(group_balance(many, metrics()), "age")["control"] == row(group_balance(once, metrics()), "age")["control"]
    )


def scanned(flatter):
    """Contrast of 20 pictures of the MNI152 brain with noise; ``flatter`` draws all intensities to the mean."""
    brain, _ = templates.mni152_brain(4)
    values = np.asarray(brain.dataobj, np.float32)
    values = values[values > 0] / values.max()
    values += flatter * (values.mean() - values)
    return [contrast(values + np.random.default_rng(i).normal(0, 0.03, values.size)) for i in range(N // 2)]


def test_cases_scanned_with_other_contrast_are_exposed():
    found = pd.DataFrame(scanned(0.0) + scanned(0.3), index=metrics().index)
    table = group_balance(cohort(age=60 + noise()), found)
    assert row(table, "white_to_grey")["size"] == 0  # lower in every case
    assert row(table, "white_to_grey")["warn"] and not row(table, "age")["warn"]
    evaluation = {
        "classifier": {"auc": 1.0}, "simulator": {"margin_reached": {}, "folding_fraction": 0.0},
        "balance": table.to_dict("records"),
    }  # fmt: skip
    sentences = " ".join(warnings(evaluation))
    assert "white to grey" in sentences and "a warp cannot show it" in sentences
    same = pd.DataFrame(scanned(0.0) * 2, index=metrics().index)
    assert not group_balance(cohort(), same)["warn"].any()
