"""What ``make science`` says of goals that were reached, missed, or not measured."""

import goals
from experiments import MORPHOMETRY
from goals import REAL, Goal
from recovery import GUESS, OURS

RESULTS = {
    "atrophy": {
        "folding_fraction": 0.0, "margin_inject": 0.98, "margin_remove": 0.9,
        "methods": {
            OURS: {"participant signed_ncc": 0.7, "group signed_ncc": 0.78},
            "occlusion": {"participant signed_ncc": -0.1}, "gradient, smoothed": {"participant signed_ncc": 0.48},
            GUESS: {"participant signed_ncc": 0.99}, MORPHOMETRY: {"participant signed_ncc": float("nan")},
        },
        "regions": {"Hippocampus": {OURS: -19.0, "truth": -34.39}},
    },
}  # fmt: skip


def found(measure: str) -> tuple[str, str]:
    row = next(row for row in goals.rows(RESULTS) if row["measure"].startswith(measure))
    return row["found"], row["reached"]


def test_every_number_of_a_goal_must_be_reached():
    assert found("signed NCC, group") == ("0.78", "yes")
    atrophy = [row for row in goals.rows(RESULTS, ["atrophy"]) if row["measure"].startswith("margin")]
    assert [(row["goal"], row["found"], row["reached"]) for row in atrophy] == [
        ("at least 0.97 / at least 0.97", "0.98 / 0.90", "NO")
    ]


def test_a_region_is_found_by_sign_and_size():
    assert found("hippocampus") == ("0.50", "yes")  # of log(0.6561), log(0.81) is half
    grown = {"atrophy": RESULTS["atrophy"] | {"regions": {"Hippocampus": {OURS: 10.0, "truth": -34.39}}}}
    assert next(row for row in goals.rows(grown) if "hippocampus" in row["measure"])["reached"] == "NO"


def test_the_best_baseline_is_one_of_saliency_and_not_judged():
    assert found("signed NCC of the best saliency baseline") == ("0.48", "")


def test_without_baselines_none_is_beaten():
    alone = {"four-gaussians": RESULTS["atrophy"] | {"methods": {OURS: {"participant signed_ncc": 0.9}}}}
    goal = next(goal for goal in goals.GOALS if "minus the best saliency" in goal.measure)
    assert goal.row(alone)["found"] == goals.ABSENT
    assert goal.row(alone)["reached"] == ""


def test_ventricles_are_held_against_the_measured_change_by_their_logs():
    goal = next(goal for goal in goals.GOALS if goal.experiment == REAL and "ventricles" in goal.measure)
    left, right = {"L_ours": 21.0, "L_measured": 46.41}, {"R_ours": 33.1, "R_measured": 10.0}  # half; three times
    row = goal.row({REAL: left | right})
    assert (row["found"], row["reached"]) == ("0.50 / 3.00", "NO")
    shrunk = goal.row({REAL: left | {"R_ours": -10.0, "R_measured": 10.0}})
    assert shrunk["reached"] == "NO"


def test_what_was_not_run_is_said():
    rows = [row for row in goals.rows(RESULTS) if row["data"] == goals.NAMES[REAL]]
    assert len(rows) == 5
    assert all((row["found"], row["reached"]) == (goals.ABSENT, "") for row in rows)


def test_folding_anywhere_misses_the_last_goal():
    assert found("folding fraction") == ("0", "yes")
    folded = RESULTS | {"four-gaussians-3d": {"folding_fraction": 1e-4}}
    last = goals.rows(folded, [])[-1]
    assert (last["found"], last["reached"]) == ("0.0001", "NO")


def test_a_number_beyond_either_end_is_missed():
    goal = Goal("atrophy", "size", lambda result: [result["size"]], ((0.9, 1.1),))
    verdicts = [goal.row({"atrophy": {"size": size}})["reached"] for size in (0.89, 0.9, 1.1, 1.11)]
    assert verdicts == ["NO", "yes", "yes", "NO"]
    assert goal.row({"atrophy": {"size": float("nan")}})["reached"] == "NO"  # a map without any correlation
