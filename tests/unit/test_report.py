"""The report of a tiny run with known numbers."""

import json
import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from tiny_run import make_run

from counterwarp.cli.main import counterwarp
from counterwarp.core import images
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ComparisonSettings
from counterwarp.explain.agreement import typicality
from counterwarp.report.results import Results
from counterwarp.report.summary import warnings
from counterwarp.stages.compare_groups import compare_groups
from counterwarp.stages.write_report import write_report

DATA_URI = re.compile(r"data:[^\"')]*")
MISSED = "1 of 12 scans, so 11/12 are right"


def written(folder, with_truth):
    run = make_run(folder)
    truth = run.truth if with_truth else None
    compare_groups(run.cohort, run.maps, run.transforms, truth, 0, run.group, ComparisonSettings(permutations=20))
    if not with_truth:
        (run.group / "measured_regions.csv").write_text("region,measured_percent\nLeft Hippocampus,-31.7\n", "utf-8")
    write_report([run.results], folder / "report")
    return run, folder / "report"


@pytest.fixture(scope="module")
def with_truth(tmp_path_factory):
    return written(tmp_path_factory.mktemp("truth"), with_truth=True)


@pytest.fixture(scope="module")
def without_truth(tmp_path_factory):
    return written(tmp_path_factory.mktemp("real"), with_truth=False)


def words(report):
    """The page's text without images and tags."""
    html = DATA_URI.sub("", (report / "report.html").read_text(encoding="utf-8"))
    body = re.sub(r"<(style|script|metadata|defs)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def test_evaluation_holds_the_runs_known_numbers(with_truth):
    evaluation = json.loads((with_truth[1] / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["classifier"]["accuracy"] == pytest.approx(11 / 12), MISSED
    # Controls' logits are in (-2.5, -0.5), the missed case's is -0.5 and the others' are positive: no pair is wrong.
    assert evaluation["classifier"]["auc"] == 1.0
    assert evaluation["classifier"]["n"] == 12
    assert evaluation["simulator"]["margin_reached"] == {"inject": 1.0, "remove": pytest.approx(11 / 12)}
    assert evaluation["simulator"]["folding_fraction"] == 0
    assert evaluation["truth"]["group_signed_ncc"] > 0.95
    assert 0.5 < evaluation["truth"]["participant_signed_ncc"] < 1
    assert abs(evaluation["saliency"]["gradient"]["group_signed_ncc"]) < 0.2
    assert evaluation["seconds"]["extract_brain"] == 12 * 20
    assert evaluation["seconds"]["align_affine"] == 12 * 20
    assert evaluation["seconds"]["train_simulator"] == 3 * 30
    assert evaluation["seconds"]["check_cohort"] == 1


def test_page_says_the_numbers_in_words(with_truth):
    text = words(with_truth[1])
    evaluation = json.loads((with_truth[1] / "evaluation.json").read_text(encoding="utf-8"))
    assert "AD against CN · 12 participants · 3 folds · 8.0 mm grid" in text
    assert "91.7 % accuracy out of fold" in text
    assert "92 % reach it under remove" in text
    assert f"{evaluation['truth']['group_signed_ncc']:.3f}" in text
    assert "planted by a computer, and it is a strong one" in text
    assert "Hippocampus \N{MINUS SIGN}33 %, Lateral Ventricle +65 %" in text
    assert "negative (blue) means this tissue loses volume" in text
    assert "sub-90 align_affine template correlation 0.41" in text
    assert "sub-91 14 sub-91.nii.gz truncated copy it again" in text
    assert "CC BY-NC" in text
    assert "12 scans: 12 PASS, 0 REVIEW, 0 FAIL" in text
    assert (with_truth[1] / "report.html").read_text(encoding="utf-8").count("data:image/jpeg") == 12


def test_regions_of_the_planted_change_are_on_top(with_truth):
    table = pd.read_csv(with_truth[0].group / "regions.csv")
    top = set(table["region"].head(12))
    assert {"Left Hippocampus", "Right Hippocampus"} & top
    hippocampus = table.set_index("region").loc["Left Hippocampus"]
    assert hippocampus["low_percent"] < hippocampus["change_percent"] < hippocampus["high_percent"] < 0
    assert hippocampus["planted_percent"] < hippocampus["change_percent"]  # maps are half the planted size
    assert table["change_percent"].abs().is_monotonic_decreasing
    assert table["region"][0] in words(with_truth[1])
    scans = pd.read_csv(with_truth[0].group / "regions_scans.csv")
    assert len(scans) == 12 * len(table)
    one = scans.query("region == 'Left Hippocampus'").iloc[0]
    assert one["inject_ml"] == pytest.approx(one["inject_percent"] / 100 * one["volume_ml"], abs=1e-3)


def test_page_is_self_contained_and_has_every_figure(with_truth):
    html = (with_truth[1] / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"'](?!#|data:|participants/|pipeline_info/cohort/quality.html)", html)
    assert "url(http" not in html
    assert "@import" not in html
    assert html.count("<svg") == 8
    assert "currentColor" in html
    names = {path.name for path in (with_truth[1] / "figures").iterdir()}
    assert names == {
        f"{name}.png"
        for name in (
            "roc",
            "precision",
            "regions",
            "logits",
            "group_maps",
            "glass",
            "surface",
            "participants",
        )
    }


def test_ids_of_the_inlined_figures_do_not_collide(with_truth):
    html = (with_truth[1] / "report.html").read_text(encoding="utf-8")
    per_figure = [set(re.findall(r'xlink:href="(#[^"]+)"', svg)) for svg in html.split("<svg")[1:]]
    shared = per_figure[0].intersection(*per_figure[1:])
    assert not shared


def test_without_truth_the_page_does_not_speak_of_it(without_truth):
    evaluation = json.loads((without_truth[1] / "evaluation.json").read_text(encoding="utf-8"))
    assert "truth" not in evaluation
    assert "group_signed_ncc" not in evaluation["saliency"]["gradient"]
    text = words(without_truth[1]).lower()
    assert "truth" not in text
    assert "planted" not in text
    assert "look at the least typical first" in text


def test_null_truth_gives_null_not_nan(with_truth, tmp_path):
    run = with_truth[0]
    truth = tmp_path / "truth"
    truth.mkdir()
    for path in run.truth.glob("*.nii.gz"):
        values, grid = images.load(path)
        images.save(truth / path.name, np.zeros_like(values), grid)
    (truth / "truth.json").write_text(json.dumps({"effect": 0.0, "region_changes_percent": {}}), encoding="utf-8")
    compare_groups(
        run.cohort,
        run.maps,
        run.transforms,
        truth,
        0,
        tmp_path / "group",
        ComparisonSettings(permutations=20, tfce=False),
    )
    found = json.loads((tmp_path / "group" / "comparison.json").read_text(encoding="utf-8"))
    assert found["truth"]["group_signed_ncc"] is None
    assert found["truth"]["participant_signed_ncc"] is None
    (tmp_path / "results").mkdir()
    for child in run.results.iterdir():
        if child.name != "group":
            (tmp_path / "results" / child.name).symlink_to(child)
    write_report([tmp_path / "results", tmp_path / "group"], tmp_path / "report")
    assert "undefined" in words(tmp_path / "report")
    assert "This is a null cohort" in words(tmp_path / "report")
    assert "strong one" not in words(tmp_path / "report")


def test_participants_and_description_are_bids(with_truth):
    people = pd.read_csv(with_truth[1] / "participants.tsv", sep="\t")
    assert list(people.columns) == ["participant_id", "group", "age"]
    assert len(people) == 12
    description = json.loads((with_truth[1] / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "counterwarp"


def test_citation_is_filled_from_the_run(with_truth):
    text = (with_truth[1] / "CITATION.md").read_text(encoding="utf-8")
    assert "6 participants of the case group (AD)" in text
    assert "accuracy of 91.7 %" in text
    assert "Going beyond saliency maps" in text
    assert "with 3 folds the smallest possible p is 0.250" in text
    assert "{{" not in text
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
    listed = {int(number) for number in re.findall(r"^(\d+)\. ", text, flags=re.MULTILINE)}
    assert cited == listed - {11, 13}  # the tiny run has neither critic nor ensemble
    assert (with_truth[1] / "CITATION.bib").read_text(encoding="utf-8").count("@") == len(listed)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"stage": "train_classifier", "settings": {"architecture": "linear", "ensemble": 5}},
            "A logistic regression on the voxels of cases against controls was trained per fold (3 folds, stratified "
            "by group, a participant in one fold only), as the mean logit of 5 networks, each",
        ),
        (
            {"stage": "import_classifier", "settings": None},
            "A classifier of cases against controls that had been trained before was used per fold",
        ),
    ],
)
def test_the_methods_say_which_classifier_it_was(with_truth, tmp_path, record, said):
    shutil.copytree(with_truth[0].results, tmp_path / "results")
    for path in (tmp_path / "results").glob("fold-*/classifier.json"):
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | record), encoding="utf-8")
    write_report([tmp_path / "results"], tmp_path / "report")
    assert said in (tmp_path / "report" / "CITATION.md").read_text(encoding="utf-8")


def test_every_number_of_the_classifier_has_its_interval(with_truth):
    metrics = json.loads((with_truth[1] / "evaluation.json").read_text(encoding="utf-8"))["classifier"]
    for name in ("accuracy", "sensitivity", "specificity", "auc", "average_precision"):
        low, high = metrics[f"{name}_ci"]
        assert 0 <= low <= metrics[name] <= high <= 1
    text = words(with_truth[1])
    assert "83 % (44\N{EN DASH}97)" in text  # 5 of 6 cases: Wilson's interval, in the confusion matrix
    assert "Brier score" in text


def test_every_scan_has_its_dose_to_flip(with_truth, without_truth):
    text = words(without_truth[1])
    assert "sub-02 AD \N{MINUS SIGN}0.5 CN (wrong) 0.50 0.50" in text
    page = (with_truth[1] / "participants" / "sub-12.html").read_text(encoding="utf-8")
    assert "inject: 0.50, remove: never" in page


def test_measured_volumes_stand_beside_ours(with_truth, without_truth):
    html = (without_truth[1] / "report.html").read_text(encoding="utf-8")
    row = re.search(r"<tr><td>Left Hippocampus</td>.*?</tr>", html)[0]
    assert "\N{MINUS SIGN}31.7" in row
    assert "measured, %" in html
    assert "measured, %" not in (with_truth[1] / "report.html").read_text(encoding="utf-8")


def test_the_page_says_what_too_few_folds_cannot_show(with_truth):
    text = words(with_truth[1])
    assert "cannot be reached" in text
    assert "with 3 folds no p below 0.250 exists" in text


def test_a_mirrored_map_is_the_least_typical():
    rng = np.random.default_rng(0)
    pattern = rng.standard_normal(200)
    values = np.stack([pattern, pattern, pattern, -pattern]) + 0.1 * rng.standard_normal((4, 200))
    found = typicality(values)
    assert found[3] < -0.9
    assert found[0] == pytest.approx(np.corrcoef(values[0], values[1:].mean(0))[0, 1])


def test_other_differences_between_the_groups_are_listed(with_truth):
    evaluation = json.loads((with_truth[1] / "evaluation.json").read_text(encoding="utf-8"))
    assert [row["property"] for row in evaluation["balance"]] == ["age"]  # the only metric is the same for all
    assert "What else differs between the groups" in words(with_truth[1])


def test_of_matched_groups_those_who_take_part_are_compared(with_truth, tmp_path):
    run, report = with_truth
    (tmp_path / "results").mkdir()
    for child in run.results.iterdir():
        if child.name != "cohort.csv":
            (tmp_path / "results" / child.name).symlink_to(child)
    cohort = pd.read_csv(run.results / "cohort.csv")
    old = cohort.iloc[:1].assign(scan_id="sub-90", participant_id="sub-90", age=99)  # is in exclusions.csv
    pd.concat([cohort, old]).to_csv(tmp_path / "results" / "cohort.csv", index=False)
    matched = {"stage": "pack_cohort", "settings": {"columns": ["age", "sex"], "caliper": 0.5}, "seconds": 1.0}
    (tmp_path / "results" / "packed.json").write_text(json.dumps(matched), encoding="utf-8")
    write_report([tmp_path / "results"], tmp_path / "out")
    after, before = (
        json.loads((folder / "evaluation.json").read_text("utf-8")) for folder in (tmp_path / "out", report)
    )
    assert after["balance"] == before["balance"]
    text = "matched one to one by age, sex: words exactly, numbers within 0.5 standard deviations"
    assert text in (tmp_path / "out" / "CITATION.md").read_text(encoding="utf-8")
    assert "matched" not in (report / "CITATION.md").read_text(encoding="utf-8")


def test_a_users_words_are_escaped(with_truth, tmp_path):
    run = with_truth[0]
    (tmp_path / "results").mkdir()
    for child in run.results.iterdir():
        if child.name != "problems.csv":
            (tmp_path / "results" / child.name).symlink_to(child)
    pd.DataFrame([{"scan_id": "sub-91", "row": 1, "file": "<script>x</script>", "problem": "", "remedy": "y"}]).assign(
        severity="image"
    ).to_csv(tmp_path / "results" / "problems.csv", index=False)
    arguments = [tmp_path / "results", "--output", tmp_path / "out"]
    result = CliRunner().invoke(counterwarp, ["write-report", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;x&lt;/script&gt;" in html
    assert "<script>x" not in html


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cohort\.csv: expected at least one such table"):
        write_report([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match=r"comparison\.json: expected one such file .* found none"):
        Results([tmp_path]).one("comparison.json")


def test_the_same_file_through_two_links_counts_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "comparison.json").write_text("{}", encoding="utf-8")
    (tmp_path / "b" / "comparison.json").symlink_to(tmp_path / "a" / "comparison.json")
    assert Results([tmp_path]).one("comparison.json").read_text(encoding="utf-8") == "{}"


def test_a_copy_of_a_table_or_record_counts_once(tmp_path):
    for name in ("predictions.csv", "predictions_fold-0.csv"):
        (tmp_path / name).write_text("scan_id,fold,logit\n001,0,1.5\n002,0,-1.5\n", encoding="utf-8")
    for name in ("classifier.json", "classifier_fold-0.json"):
        (tmp_path / name).write_text('{"stage": "train_classifier", "seconds": 3}', encoding="utf-8")
    (tmp_path / "sub-01_T1w.json").write_text('{"stage": "of a sidecar"}', encoding="utf-8")
    (tmp_path / "sub-01_T1w.nii.gz").touch()
    results = Results([tmp_path])
    assert results.table("predictions*.csv")["scan_id"].tolist() == ["001", "002"]
    assert results.records() == [{"stage": "train_classifier", "seconds": 3}]


def test_weak_runs_carry_a_warning():
    weak = {
        "classifier": {"auc": 0.55},
        "simulator": {"margin_reached": {"inject": 0.5, "remove": 1.0}, "folding_fraction": 0.01},
        "balance": [],
    }
    first, second, third = warnings(weak)
    assert "AUC 0.55" in first
    assert "Under inject only 50%" in second
    assert "fold in 1.00%" in third
