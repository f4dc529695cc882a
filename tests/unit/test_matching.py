"""Cases and controls matched one to one: the most pairs, the most alike, and a reason for everybody else."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from packed import write_preprocessed

from counterwarp.cli.pack_cohort import pack_cohort as command
from counterwarp.cohort.matching import Matching, check_matching, match_groups, read_matching
from counterwarp.core.errors import InputError
from counterwarp.stages.pack_cohort import pack_cohort

BY_AGE = Matching(("age",), 0.5)


def people(cases, controls, **columns):
    """A scan of each: cases sub-a, sub-b, ... and controls sub-1, sub-2, ... with their ages."""
    names = [f"sub-{chr(ord('a') + i)}" for i in range(len(cases))] + [f"sub-{i + 1}" for i in range(len(controls))]
    table = pd.DataFrame({"scan_id": names, "participant_id": names, "age": [*cases, *controls], **columns})
    return table.assign(is_case=[1] * len(cases) + [0] * len(controls))


def within(years, table):
    """Matching by age with a caliper of so many years."""
    return Matching(("age",), years / table["age"].std())


def test_words_are_matched_exactly():
    table = people([70, 60], [60, 70], sex=["F", "M", "F", "M"], site=["A", "A", "A", "B"])
    assert match_groups(table, Matching(("sex",), 0.5)) == ([("sub-a", "sub-1"), ("sub-b", "sub-2")], {})
    pairs, unmatched = match_groups(table, Matching(("sex", "site"), 0.5))
    assert pairs == [("sub-a", "sub-1")]
    assert unmatched == {
        "sub-b": "not matched: no control of sex M, site A",
        "sub-2": "not matched: no case of sex M, site B",
    }


@pytest.mark.parametrize("values", [[True, False, True, False], [1, 0, 1, 0]])
def test_flags_are_matched_as_words_are(values):
    pairs, _ = match_groups(people([60, 60], [60, 60], smoker=values), Matching(("smoker",), 0.5))
    assert pairs == [("sub-a", "sub-1"), ("sub-b", "sub-2")]


def test_no_pair_is_further_apart_than_the_caliper():
    table = people([60, 71], [62, 66])
    assert match_groups(table, within(5.01, table))[0] == [("sub-a", "sub-1"), ("sub-b", "sub-2")]
    pairs, unmatched = match_groups(table, within(4.9, table))
    assert pairs == [("sub-a", "sub-1")]
    caliper = 4.9 / np.std([60, 71, 62, 66], ddof=1)
    assert unmatched["sub-b"] == f"not matched: no control within {caliper:g} SD of age 71"
    pairs, _ = match_groups(table.assign(education=[10, 20, 20, 10]), Matching(("age", "education"), 0.5))
    assert not pairs  # of each column, not of their sum


def test_there_are_more_pairs_than_the_nearest_first_would_give():
    """The nearest pair (a, 1) would leave b, whom only 1 fits, alone."""
    table = people([60, 64], [61, 57])
    assert match_groups(table, within(3.01, table))[0] == [("sub-a", "sub-2"), ("sub-b", "sub-1")]


def test_of_equally_many_pairs_the_most_alike_are_taken():
    table = people([60, 70], [71, 59, 66, 75])
    assert match_groups(table, within(20, table))[0] == [("sub-a", "sub-2"), ("sub-b", "sub-1")]
    squares = people([60, 62], [62, 64])  # 2 + 2 and 0 + 4 years: the squares are smaller of the even split
    assert match_groups(squares, within(20, squares))[0] == [("sub-a", "sub-1"), ("sub-b", "sub-2")]


def test_who_could_have_been_a_partner_is_told_that_others_were_preferred():
    table = people([60.5], [60, 61.75], sex="F")
    _, unmatched = match_groups(table, Matching(("sex", "age"), 1.5))
    assert unmatched == {
        "sub-2": "not matched: every case within 1.5 SD of age 61.75 and of sex F is another control's"
    }


def test_the_order_of_the_rows_has_no_effect():
    random = np.random.default_rng(0)
    table = people(random.integers(50, 80, 12), random.integers(50, 80, 20), sex=list("FM") * 16)
    matching = Matching(("age", "sex"), 0.3)
    expected = match_groups(table, matching)
    assert len(expected[0]) > 5
    for seed in range(5):
        assert match_groups(table.sample(frac=1, random_state=seed), matching) == expected


def test_without_a_covariate_nobody_is_matched():
    table = people([60, np.nan], [60, 60], sex=["F", "F", None, "F"])
    pairs, unmatched = match_groups(table, Matching(("age", "sex"), 0.5))
    assert pairs == [("sub-a", "sub-2")]
    assert unmatched == {"sub-b": "not matched: no age is given", "sub-1": "not matched: no sex is given"}
    assert match_groups(table[table["is_case"] == 0], BY_AGE)[0] == []


def test_a_participant_counts_once_with_the_first_scan():
    table = people([60], [63, 60])
    later = table.iloc[[0, 0]].assign(scan_id=["sub-a_ses-3", "sub-a_ses-2"], age=[63, 90])
    table.loc[0, "scan_id"] = "sub-a_ses-1"
    pairs, unmatched = match_groups(pd.concat([later, table]), Matching(("age",), 3))
    assert pairs == [("sub-a", "sub-2")] and list(unmatched) == ["sub-1"]


def test_who_is_in_both_groups_is_no_partner():
    table = people([60, 60], [60, 60])
    table.loc[3, ["scan_id", "participant_id"]] = ["sub-a_ses-2", "sub-a"]
    pairs, unmatched = match_groups(table, BY_AGE)
    assert pairs == [("sub-b", "sub-1")] and unmatched == {"sub-a": "not matched: there are scans in both groups"}


def test_what_is_asked_for_is_read():
    assert read_matching("", 0.5) is None
    assert read_matching("age, sex,age", 0.5) == Matching(("age", "sex"), 0.5)
    for caliper in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"--match_caliper .*: expected a number above 0, .* of age .*Give e\.g\."):
            read_matching("age", caliper)


def test_a_cohort_that_cannot_be_matched_so_is_refused():
    table = people([60], [60], group=["AD", "CN"])
    check_matching(table, BY_AGE)
    with pytest.raises(InputError, match=r"--match sex, group: no such covariate in the cohort; it has age\. Correct"):
        check_matching(table, Matching(("age", "sex", "group"), 0.5))
    three = people([60, 60], [60], group=["MCI", "AD", "CN"]).assign(is_case=[1, 2, 0])
    with pytest.raises(InputError, match=r"--match age: expected one case group, got MCI, AD, which .* with --case"):
        check_matching(three, BY_AGE)


def test_packing_keeps_the_pairs_and_lists_the_others(tmp_path):
    ages = [60, 60, 65, 90, 70, 70, 75, 65]  # 0.5 SD are 4.97 years
    aligned = write_preprocessed(tmp_path, scans=8, age=ages)
    paths = (tmp_path / "cohort.csv", aligned, tmp_path)
    pack_cohort(*paths, 2, 10, 0, tmp_path / "packed", matching=BY_AGE)
    index = pd.read_csv(tmp_path / "packed" / "index.csv")
    assert set(index["scan_id"]) == {"sub-0", "sub-1", "sub-2", "sub-4", "sub-5", "sub-7"}
    assert len(np.load(tmp_path / "packed" / "images.npy")) == 6
    excluded = pd.read_csv(tmp_path / "packed" / "exclusions.csv")
    assert [tuple(row) for row in excluded.to_numpy()] == [
        ("sub-3", "pack_cohort", "not matched: no control within 0.5 SD of age 90"),
        ("sub-6", "pack_cohort", "not matched: no case within 0.5 SD of age 75"),
    ]
    record = json.loads((tmp_path / "packed" / "cohort.json").read_text(encoding="utf-8"))
    assert record["settings"] == {"columns": ["age"], "caliper": 0.5}
    assert record["pairs"] == [["sub-1", "sub-0"], ["sub-5", "sub-4"], ["sub-7", "sub-2"]]
    with pytest.raises(
        InputError, match=r"--match age: 3 pair\(s\) .* at least --folds 4; .* --match_caliper \(0\.5\)"
    ):
        pack_cohort(*paths, 4, 10, 0, tmp_path / "few", matching=BY_AGE)
    assert len(pd.read_csv(tmp_path / "few" / "exclusions.csv")) == 2
    write_preprocessed(tmp_path, scans=8, age=np.nan)
    with pytest.raises(InputError, match=r"--match age: 0 pair\(s\)"):
        pack_cohort(*paths, 2, 10, 0, tmp_path / "none", matching=BY_AGE)


def test_without_match_the_record_says_nothing_of_it(tmp_path):
    aligned = write_preprocessed(tmp_path, scans=8, age=60)
    arguments = {
        "cohort-table": tmp_path / "cohort.csv", "aligned": aligned, "templates": tmp_path, "folds": 2,
        "chunk-size": 10, "seed": 0,
    }  # fmt: skip
    options = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
    for name, extra, settings in (
        ("all", [], None),
        ("pairs", ["--match", "age"], {"columns": ["age"], "caliper": 0.5}),
    ):
        result = CliRunner().invoke(
            command, [*options, *extra, "--output", str(tmp_path / name)], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        record = json.loads((tmp_path / name / "cohort.json").read_text(encoding="utf-8"))
        assert (record["settings"], "pairs" in record) == (settings, bool(settings))
    for table in ("index.csv", "exclusions.csv"):  # here everybody has a partner
        assert (tmp_path / "all" / table).read_bytes() == (tmp_path / "pairs" / table).read_bytes()
