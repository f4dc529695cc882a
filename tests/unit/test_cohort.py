"""Samplesheets with every kind of mistake; folds that nobody crosses; the packed store."""

import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from packed import write_preprocessed

from counterwarp.cohort.matching import Matching
from counterwarp.cohort.review import read_decisions
from counterwarp.cohort.samplesheet import choose_groups
from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.stages.check_cohort import Selection, check_cohort
from counterwarp.stages.pack_cohort import assign_folds, export_tasks, pack_cohort

SHAPE, AFFINE = (10, 10, 10), np.diag([7.0, 7, 7, 1])  # the extent of a head in few voxels
EVERYBODY = Selection([], [], [])
YEARS = "To do: give years as a number, or leave it empty."


@pytest.fixture
def sheet(tmp_path):
    """Six good scans, three of each group, as a list of rows and a function that checks an edited sheet."""
    rows = []
    for i in range(6):
        data = np.random.default_rng(i).random(SHAPE).astype(np.float32)
        nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / f"{i}.nii.gz")
        rows.append({"participant_id": f"s{i}", "t1w": f"{i}.nii.gz", "group": ["case", "control"][i % 2], "age": "60"})

    def check(rows, on_bad_scan="skip", **options):
        pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv", index=False)
        arguments = {"group_column": "group", "case": "", "control": "", "folds": 2, "selection": EVERYBODY} | options
        check_cohort(tmp_path / "cohort.csv", on_bad_scan=on_bad_scan, output=tmp_path / "out", **arguments)
        return pd.read_csv(tmp_path / "out" / "cohort.csv")

    return rows, check


def test_good_sheet_is_normalised(sheet):
    rows, check = sheet
    cohort = check(rows)
    assert list(cohort["scan_id"]) == [f"sub-s{i}" for i in range(6)]
    assert list(cohort["is_case"]) == [1, 0] * 3
    assert all(path.startswith("/") for path in cohort["t1w"])


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (
            1,
            "t1w",
            "x.nii.gz",
            "row 3: {here}/x.nii.gz: file not found. To do: Correct the path or drop the row.",
        ),
        (1, "t1w", "", "row 3: no t1w. To do: give the path of the scan, or drop the row."),
        *(
            (2, "age", age, f"row 4: age '{age}' is not a number of years. {YEARS}")
            for age in ("old", "nan", "-5", "89+")
        ),
        (3, "participant_id", "s_3", "row 5: 's_3' is not a BIDS label. To do: use letters and digits only."),
        (3, "participant_id", "sub-", "row 5: no participant_id. To do: name the participant, or drop the row."),
        (4, "participant_id", "s0", "row 6: sub-s0 appears twice. To do: add a session_id, or drop one row."),
    ],
)
def test_table_problem_stops_and_names_the_row(sheet, tmp_path, row, column, value, message):
    rows, check = sheet
    rows[row][column] = value
    with pytest.raises(InputError) as error:
        check(rows)
    told = f"{tmp_path / 'cohort.csv'}: 1 problem(s)\n  {message.format(here=tmp_path)}"
    assert str(error.value) == told


@pytest.mark.parametrize("age", ["", "n/a", "60", "7.5"])
def test_ages_that_are_numbers_or_unknown(sheet, age):
    rows, check = sheet
    rows[0]["age"] = age
    assert len(check(rows)) == len(rows)


HEADER = "participant_id,t1w,group\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column participant_id, t1w, group; found . Add it."),
        (HEADER.encode(), "expected a row per scan or participant below the header, found none."),
        (
            HEADER.replace(",", ";").encode(),
            "no column participant_id, t1w, group; found participant_id;t1w;group. Add it.",
        ),
        (b"participant_id,t1w,group,group\ns1,a,b,c\n", "column group is there twice. Keep one."),
        (
            f"{HEADER}\ns1,a.nii,left, right\n".encode(),
            "row 3 has 4 cells, the header 3. Quote cells that hold a comma.",
        ),
        (
            f"{HEADER}s1,\xe9.nii,case\n".encode("latin-1"),
            "expected a table in UTF-8 text ('utf-8' codec can't decode byte 0xe9 in position 28: invalid continuation "
            "byte). Save it as CSV (UTF-8).",
        ),
    ],
)
def test_what_is_no_samplesheet_is_refused(tmp_path, content, message):
    (tmp_path / "cohort.csv").write_bytes(content)
    with pytest.raises(InputError) as error:
        check_cohort(tmp_path / "cohort.csv", "group", "", "", EVERYBODY, "skip", 2, tmp_path / "out")
    assert str(error.value) == f"{tmp_path / 'cohort.csv'}: {message}"


def test_a_sheet_is_read_however_it_was_saved(sheet, tmp_path):
    """Tabs, a byte order mark, spaces and empty rows: the same cohort; rows keep the numbers of the file."""
    rows, check = sheet
    expected = check(rows)
    lines = [" \t ".join(row) for row in ([*rows[0]], *(row.values() for row in rows))]
    (tmp_path / "cohort.tsv").write_text("\n\n".join(lines) + "\n", encoding="utf-8-sig")
    check_cohort(tmp_path / "cohort.tsv", "group", "", "", EVERYBODY, "skip", 2, tmp_path / "tabs")
    assert pd.read_csv(tmp_path / "tabs" / "cohort.csv").equals(expected)
    (tmp_path / "cohort.tsv").write_text("\n\n".join(lines).replace("60", "?", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"row 3: age '\?'"):
        check_cohort(tmp_path / "cohort.tsv", "group", "", "", EVERYBODY, "skip", 2, tmp_path / "tabs")


def test_all_problems_are_told_at_once(sheet):
    rows, check = sheet
    rows[0]["age"], rows[1]["t1w"] = "?", "gone.nii.gz"
    with pytest.raises(InputError, match=r"2 problem\(s\)"):
        check(rows)


def test_group_with_one_member_is_named(sheet, tmp_path):
    rows, check = sheet
    with pytest.raises(InputError) as error:
        check([r for r in rows if r["group"] == "control"] + rows[:1])
    told = "group 'case' has 1 participant. To do: add participants; every fold needs one."
    assert str(error.value) == f"{tmp_path / 'cohort.csv'}: 1 problem(s)\n  {told}"


def test_unclear_groups_are_listed(sheet):
    rows, check = sheet
    for row in rows:
        row["group"] = {"case": "AD", "control": "CN"}[row["group"]]
    with pytest.raises(InputError, match="groups found: AD, CN"):
        check(rows)
    assert check(rows, case="AD", control="CN")["is_case"].sum() == 3


def test_bad_image_is_set_aside_or_stops(sheet, tmp_path):
    rows, check = sheet
    rows += [{**rows[0], "participant_id": "s9", "t1w": "flat.nii.gz"}]
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), tmp_path / "flat.nii.gz")
    assert "sub-s9" not in set(check(rows)["scan_id"])
    assert "every voxel is 1" in pd.read_csv(tmp_path / "out" / "problems.csv")["problem"][0]
    with pytest.raises(InputError, match=r"flat.nii.gz: every voxel is 1"):
        check(rows, on_bad_scan="stop")


def test_bids_folder_is_read_like_a_sheet(sheet, tmp_path):
    bids = tmp_path / "bids"
    for i in range(6):
        (bids / f"sub-{i}" / "anat").mkdir(parents=True)
        data = (tmp_path / f"{i}.nii.gz").read_bytes()
        (bids / f"sub-{i}" / "anat" / f"sub-{i}_T1w.nii.gz").write_bytes(data)
    (bids / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"}), encoding="utf-8")
    people = pd.DataFrame({"participant_id": [f"sub-{i}" for i in range(4)], "dx": ["AD", "CN"] * 2})
    people.to_csv(bids / "participants.tsv", sep="\t", index=False)
    check_cohort(bids, "dx", "AD", "CN", Selection([], [], ["sub-4"]), "skip", 2, tmp_path / "out")
    assert list(pd.read_csv(tmp_path / "out" / "cohort.csv")["is_case"]) == [1, 0, 1, 0]
    problems = pd.read_csv(tmp_path / "out" / "problems.csv")  # sub-5 is not in participants.tsv, sub-4 is not wanted
    assert list(problems["scan_id"]) == ["sub-5"] and list(problems["problem"]) == ["no group"]


def test_sessions_and_runs_of_a_bids_folder_are_scans_of_their_own(tmp_path):
    """Derivatives are not read; labels choose sessions; a problem of participants.tsv has its row."""
    names = [f"sub-{p}_ses-{s}" for p in "abcd" for s in (1, 2)] + ["sub-a_ses-2_run-2"]
    for number, name in enumerate([*names, "derivatives/sub-a_ses-1"]):
        folder, name = (tmp_path / name).parent, name.split("/")[-1]
        place = folder.joinpath(*name.split("_")[:2], "anat")
        place.mkdir(parents=True, exist_ok=True)
        data = np.random.default_rng(number).random(SHAPE).astype(np.float32)
        nib.save(nib.Nifti1Image(data, AFFINE), place / f"{name}_T1w.nii.gz")
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}', encoding="utf-8")
    people = "participant_id\tgroup\tage\n" + "".join(
        f"sub-{p}\t{'case' if p < 'c' else 'control'}\tn/a\n" for p in "abcd"
    )
    (tmp_path / "participants.tsv").write_text(people, encoding="utf-8")
    check_cohort(tmp_path, "group", "", "", EVERYBODY, "skip", 2, tmp_path / "all")
    assert sorted(pd.read_csv(tmp_path / "all" / "cohort.csv")["scan_id"]) == sorted(names)
    check_cohort(tmp_path, "group", "", "", Selection([], ["ses-2"], ["a_ses-2_run-2"]), "skip", 2, tmp_path / "some")
    chosen = pd.read_csv(tmp_path / "some" / "cohort.csv")["scan_id"]
    assert list(chosen) == [f"sub-{p}_ses-2" for p in "abcd"]
    (tmp_path / "participants.tsv").write_text(people.replace("n/a", "unknown", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"row 2: age 'unknown' is not a number of years"):
        check_cohort(tmp_path, "group", "", "", EVERYBODY, "skip", 2, tmp_path / "all")


def test_only_the_wanted_scans_are_taken(sheet):
    rows, check = sheet
    cohort = check(rows, selection=Selection(["s0", "sub-s1", "s2", "s3", "s4"], [], ["s4"]))
    assert list(cohort["scan_id"]) == ["sub-s0", "sub-s1", "sub-s2", "sub-s3"]
    with pytest.raises(InputError, match="--exclude sub-s77: no such scan in the cohort"):
        check(rows, selection=Selection([], [], ["s77"]))


def test_one_image_under_two_names_stops(sheet, tmp_path):
    """Stored in another orientation it is the same picture still."""
    rows, check = sheet
    image = nib.load(tmp_path / "0.nii.gz")
    flipped = image.as_reoriented([[1, -1], [0, 1], [2, -1]])
    nib.save(flipped, tmp_path / "copy.nii.gz")
    rows[5]["t1w"] = "copy.nii.gz"
    with pytest.raises(InputError) as error:
        check(rows)
    told = f"row 7: {tmp_path / 'copy.nii.gz'}: the same image as sub-s0. To do: correct the path, or drop one row."
    assert str(error.value) == f"{tmp_path / 'cohort.csv'}: 1 problem(s)\n  {told}"


def test_column_and_values_of_the_group(sheet):
    rows, check = sheet
    with pytest.raises(InputError, match=r"cohort.csv: no column dx; found participant_id, t1w, group, age. Add it."):
        check(rows, group_column="dx")
    with pytest.raises(InputError, match="groups found: case; asked for case '' and control ''"):
        check([row | {"group": "case"} for row in rows])


def test_several_case_groups_are_numbered_as_they_are_named(sheet, tmp_path):
    rows, check = sheet
    rows = [row | {"group": group} for row, group in zip(rows, ["CN", "AD", "MCI"] * 2, strict=True)]
    cohort = check(rows, case="MCI, AD", control="CN")
    assert list(cohort["is_case"]) == [0, 2, 1] * 2
    record = json.loads((tmp_path / "out" / "check_cohort.json").read_text(encoding="utf-8"))
    assert (record["case"], record["control"]) == (["MCI", "AD"], "CN")
    assert set(check(rows, case="MCI", control="CN")["group"]) == {"MCI", "CN"}  # the third group is left out
    with pytest.raises(InputError, match="group 'AD' has 1 participant"):
        check([*rows[:4], rows[5]], case="MCI,AD", control="CN")
    with pytest.raises(InputError, match=r"'CN': 2, 'MCI': 2\} participants, expected at least --folds 3"):
        check(rows, case="MCI,AD", control="CN", folds=3)


@pytest.mark.parametrize(
    ("case", "control", "what"),
    [
        ("AD,MCI,AD", "CN", "'AD' is named twice"),
        ("AD,CN", "CN", "'CN' is named twice"),
        ("AD,FTD", "CN", "'FTD' is no group"),
        ("AD,early AD", "CN", "'early AD' is not letters and digits only"),
        ("", "", r"or several case groups by commas: --case MCI,AD\."),
    ],
)
def test_groups_that_cannot_be_told_apart_are_named(case, control, what):
    with pytest.raises(InputError, match=rf"groups found: AD, CN, MCI, early AD; .*{what}"):
        choose_groups({"AD", "CN", "MCI", "early AD"}, case, control)


def test_a_group_whose_label_has_a_comma_is_one_group():
    assert choose_groups({"AD, late", "CN"}, "AD, late", "CN") == (["AD, late"], "CN")


def test_what_groups_cannot_be_matched_by_stops_before_any_work(sheet):
    rows, check = sheet
    check(rows, matching=Matching(("age",), 0.5))
    with pytest.raises(InputError, match="--match sex: no such covariate in the cohort; it has age"):
        check(rows, matching=Matching(("sex",), 0.5))


def test_mask_on_another_grid_is_set_aside(sheet, tmp_path):
    rows, check = sheet
    rows = [row | {"mask": ""} for row in rows] + [{**rows[0], "participant_id": "s9", "t1w": "9.nii.gz"}]
    data = np.random.default_rng(9).random(SHAPE).astype(np.float32)
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "9.nii.gz")
    nib.save(nib.Nifti1Image((data > 0.5).astype(np.float32)[:-1], AFFINE), tmp_path / "mask.nii.gz")
    rows[-1]["mask"] = "mask.nii.gz"
    assert "sub-s9" not in set(check(rows)["scan_id"])
    assert "on another grid than its scan" in pd.read_csv(tmp_path / "out" / "problems.csv")["problem"][0]


def index(participants=20, scans=2):
    ids = np.repeat([f"sub-{i}" for i in range(participants)], scans)
    case = np.repeat(np.arange(participants) % 2, scans)
    return pd.DataFrame(
        {"scan_id": [f"{p}_ses-{i % scans}" for i, p in enumerate(ids)], "participant_id": ids, "is_case": case}
    )


def test_nobody_crosses_folds_and_groups_are_balanced():
    folds = assign_folds(index(), 5, 3, seed=0)
    assert (folds.groupby("participant_id")["fold"].nunique() == 1).all()
    assert (folds.groupby(["fold", "is_case"])["participant_id"].nunique() == 2).all()
    assert folds.groupby(["fold", "chunk"]).size().max() == 3
    assert folds.equals(assign_folds(index(), 5, 3, seed=0))


def test_too_few_participants_for_the_folds():
    with pytest.raises(InputError, match="expected at least 5 in each"):
        assign_folds(index(participants=6), 5, 3, seed=0)


def test_folds_are_balanced_in_each_of_several_case_groups():
    table = index(participants=30).assign(is_case=np.repeat(np.arange(30) % 3, 2))
    folds = assign_folds(table, 5, 3, seed=0, groups=3)
    assert (folds.groupby(["fold", "is_case"])["participant_id"].nunique() == 2).all()
    with pytest.raises(InputError, match=r"participants \(0 = control, then the case groups as in --case\)"):
        assign_folds(table[table["is_case"] < 2].reset_index(drop=True), 5, 3, seed=0, groups=3)


def test_a_chunk_is_exported_for_the_groups_that_it_has():
    table = pd.DataFrame({"is_case": [0, 1, 2, 2], "fold": 0, "chunk": [0, 0, 1, 0], "group": ["CN", "1", "02", "02"]})
    tasks = export_tasks(table)
    assert [tuple(row) for row in tasks.to_numpy()] == [(0, 0, "02"), (0, 0, "1"), (0, 1, "02")]
    assert list(export_tasks(table[:2]).columns) == ["fold", "chunk"]


def test_packing_keeps_images_and_lists_who_is_left_out(tmp_path):
    aligned = write_preprocessed(tmp_path, scans=8)
    verdict = {"stage": "align_affine", "status": "FAIL", "reasons": ["upside down"]}
    (aligned / "sub-3_desc-qc.json").write_text(json.dumps(verdict), encoding="utf-8")
    (aligned / "sub-4_desc-qc.json").unlink()
    decisions = tmp_path / "decisions.tsv"
    decisions.write_text("scan_id\tdecision\tnote\nsub-7\tFAIL\tmoved\nsub-6\tPASS\t\n", encoding="utf-8")
    pack_cohort(tmp_path / "cohort.csv", aligned, tmp_path, 2, 10, 0, tmp_path / "packed", decisions)
    store = CohortStore(tmp_path / "packed")
    assert set(store.index["scan_id"]) == {f"sub-{i}" for i in (0, 1, 2, 5, 6)}
    reasons = pd.read_csv(tmp_path / "packed" / "exclusions.csv").set_index("scan_id")["reasons"]
    assert reasons["sub-3"] == "upside down" and "did not finish" in reasons["sub-4"]
    assert reasons["sub-7"].startswith("a reviewer decided FAIL: moved")
    quality = pd.read_csv(tmp_path / "packed" / "quality.csv")
    assert set(quality["scan_id"][:3]) == {"sub-3", "sub-4", "sub-7"}  # the most doubtful first
    cards = re.findall(
        r'<h2>(sub-.) <span class="badge (.*?)".*?</h2>\n<p>(.*?)</p>',
        (tmp_path / "packed" / "quality.html").read_text(encoding="utf-8"),
    )
    assert cards[: len(quality)] == [tuple(row) for row in quality[["scan_id", "status", "reasons"]].to_numpy()]
    for position, scan in enumerate(store.index["scan_id"]):
        assert np.allclose(store.images[position], images.load(aligned / layout.aligned_t1w(scan))[0], atol=2e-3)
    for fold in (0, 1):
        inside, outside = store.positions(fold, True), store.positions(fold, False)
        assert len(inside) + len(outside) == 5 and not set(inside) & set(outside)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scan_id,decision\nsub-9,FAIL\n", "sub-9: no such scan in the cohort"),
        ("scan_id,decision\nsub-1,maybe\n", "decision of sub-1 is 'maybe', expected PASS or FAIL"),
        ("scan_id,verdict\nsub-1,PASS\n", "no column decision"),
        ("", "no column scan_id, decision"),
        ("scan_id,decision\nsub-1,PASS\nsub-1,FAIL\n", "sub-1 has two decisions"),
    ],
)
def test_decisions_that_cannot_be_used_stop(tmp_path, text, message):
    (tmp_path / "decisions.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_decisions(tmp_path / "decisions.csv", {"sub-1"})
