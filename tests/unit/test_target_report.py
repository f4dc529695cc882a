"""Group maps and report of one of several case groups, from a tiny run of three groups."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from tiny_run import FOLDS, make_run

from counterwarp.cli.main import counterwarp
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ComparisonSettings
from counterwarp.report.results import Results
from counterwarp.stages.compare_groups import compare_groups
from counterwarp.stages.evaluate import evaluate

SCANS, GROUPS = 18, ("CN", "MCI", "AD")


def divide(run):
    """Make the cases of a run two groups, and of its maps a folder for each."""
    numbers = np.where(np.arange(SCANS) % 2, 1 + (np.arange(SCANS) > SCANS // 2), 0)
    for path in (run.cohort / "index.csv", run.results / "cohort.csv"):
        table = pd.read_csv(path, keep_default_na=False)
        table.assign(is_case=numbers, group=np.array(GROUPS)[numbers]).to_csv(path, index=False)
    scans = pd.read_csv(run.cohort / "index.csv")["scan_id"]
    for path in run.results.glob("fold-*/predictions.csv"):
        table = pd.read_csv(path).assign(is_case=numbers, group=np.array(GROUPS)[numbers])
        table.assign(logit_MCI=-table["logit"], logit_AD=table["logit"], logit=9.0).to_csv(path, index=False)
    for number, target in enumerate(GROUPS[1:], 1):
        maps = run.results / f"target-{target}" / "maps"
        shutil.copytree(run.maps, maps)
        kept = set(scans[np.isin(numbers, [0, number])])
        for path in maps.glob("*.csv"):
            table = pd.read_csv(path)
            table[table["scan_id"].isin(kept)].to_csv(path, index=False)
    shutil.rmtree(run.maps)
    return scans[np.isin(numbers, [0, 2])]


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The run, the scans of AD and of the controls, and the folder of AD with group maps and report."""
    run = make_run(tmp_path_factory.mktemp("run"), SCANS)
    ours = divide(run)
    (run.truth / "target-AD").mkdir()
    for path in run.truth.glob("*.*"):
        path.rename(run.truth / "target-AD" / path.name)
    target = run.results / "target-AD"
    settings = ComparisonSettings(permutations=20, tfce=False)
    compare_groups(run.cohort, target / "maps", run.transforms, run.truth, 0, target / "group", settings, "AD")
    result = CliRunner().invoke(counterwarp, ["write-report", str(run.results), "--target", "AD"])
    assert result.exit_code == 0, result.output
    return run, ours, target


def test_the_group_maps_are_of_the_target_and_the_controls(reported):
    _, ours, target = reported
    comparison = json.loads((target / "group" / "comparison.json").read_text(encoding="utf-8"))
    assert comparison["participants"] == {"case": 4, "control": 9}
    assert comparison["inputs"]["target"] == "AD"
    assert comparison["truth"]["group_signed_ncc"] > 0.9
    assert set(pd.read_csv(target / "group" / "regions_scans.csv")["scan_id"]) == set(ours)


def test_the_report_is_about_the_target(reported):
    _, ours, target = reported
    assert {path.stem for path in (target / "participants").glob("*.html")} == set(ours)
    assert set(pd.read_csv(target / "participants.tsv", sep="\t")["group"]) == {"CN", "AD"}
    evaluation = json.loads((target / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["classifier"]["n"] == 13
    assert evaluation["classifier"]["auc"] == 1.0  # by logit_AD; the logit of any case group is the same for all
    page, methods = ((target / name).read_text(encoding="utf-8") for name in ("report.html", "CITATION.md"))
    assert "2 case groups, MCI, AD" in page and "about one of them: <b>AD</b>" in page
    assert "a logit for each of 2 case groups (MCI, AD) against the control group" in methods
    assert "4 participants of the case group (AD) and 9 of the control group (CN)" in methods
    assert f"({FOLDS} folds, stratified by group" in methods


def test_the_target_is_measured_against_its_own_truth(reported, tmp_path):
    run, ours, _ = reported
    record = evaluate(run.results, run.truth, tmp_path, "AD")
    assert record["participants"] == len(ours)
    assert record["group"]["log_jacobian"]["signed_ncc"] > 0.9


def test_a_run_of_several_groups_asks_for_one(reported):
    run, *_ = reported
    assert all("target-MCI" not in str(path) for path in Results([run.results], "AD").all("*"))
    for wrong in ("", "FTD"):
        with pytest.raises(InputError, match=f"--target '{wrong}': expected one of AD, MCI, the case groups"):
            Results([run.results], wrong)
