"""Group maps: signs, weights, and the planted truth on the right voxels."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_run import make_run, native_space, planted

from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import apply_affine, write_itk_affine
from counterwarp.core.settings import ComparisonSettings, SaliencySettings
from counterwarp.explain.group_maps import MeanMap, truth_on_grid
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.stages.compare_groups import compare_groups
from counterwarp.stages.map_saliency import map_saliency

# Linear sampling at up to 5 mm of blobs with 14 mm standard deviation and height 0.5: error below h^2 |f''| / 8.
LINEAR_SAMPLING = 0.02


QUICK = ComparisonSettings(permutations=20, tfce=False)


def compare(run, cohort, truth, output):
    compare_groups(cohort, run.maps, run.transforms, truth, 0, output, QUICK)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run"))
    compare(run, run.cohort, run.truth, run.group)
    return run


def test_truth_from_an_oblique_anisotropic_space_lands_on_the_right_voxels(tmp_path, run):
    pose, native = native_space(np.random.default_rng(5))
    values = planted(apply_affine(np.linalg.inv(pose), native.points()))
    images.save(tmp_path / "truth.nii.gz", values, native)
    write_itk_affine(tmp_path / "xfm.mat", pose)
    found = truth_on_grid(tmp_path / "truth.nii.gz", tmp_path / "xfm.mat", run.grid)
    brain = images.load(run.cohort / "brain_mask.nii.gz")[0] > 0
    np.testing.assert_allclose(found[brain], planted(run.grid.points())[brain], atol=LINEAR_SAMPLING)


def test_mean_map_weighs_and_leaves_folded_voxels_out():
    mean = MeanMap((2,))
    mean.add(np.array([1.0, np.nan]), weight=0.5)
    mean.add(np.array([2.0, 4.0]), weight=0.5)
    np.testing.assert_allclose(mean.mean, [1.5, 4.0])


def test_group_maps_are_the_means_of_each_groups_own_direction(run):
    index = pd.read_csv(run.cohort / "index.csv")
    brain = images.load(run.cohort / "brain_mask.nii.gz")[0] > 0

    def mean(rows, direction):
        return np.mean([images.load(run.maps / layout.log_jacobian(s, direction))[0] for s in rows["scan_id"]], 0)

    inject = mean(index[index["is_case"] == 0], "inject") * brain
    remove = mean(index[index["is_case"] == 1], "remove") * brain
    for name, expected in (("injectControl", inject), ("removeCase", remove), ("aligned", (inject - remove) / 2)):
        np.testing.assert_allclose(images.load(run.group / layout.group_map(name))[0], expected, atol=1e-6)


def test_a_planted_shrinkage_is_negative_in_the_aligned_map(run):
    aligned, grid = images.load(run.group / layout.group_map("aligned"))
    effect = planted(grid.points())
    assert aligned[np.unravel_index(effect.argmin(), effect.shape)] < -0.1
    assert aligned[np.unravel_index(effect.argmax(), effect.shape)] > 0.1


def test_comparison_measures_the_maps_against_the_truth(run):
    found = json.loads((run.group / "comparison.json").read_text(encoding="utf-8"))
    truth = found["truth"]
    assert truth["group_signed_ncc"] > 0.95  # noise of 0.03 averaged over 12 scans on an effect of 0.2
    assert truth["inject_signed_ncc"] > 0.9
    assert truth["remove_signed_ncc"] > 0.9
    assert 0.7 < truth["participant_signed_ncc"] < truth["group_signed_ncc"]
    assert truth["magnitude_share"] == pytest.approx(0.5, abs=0.1)  # maps are half the planted size, doses 0.6 to 1.4
    assert truth["planted"]["effect"] == 1.0
    assert abs(found["saliency"]["gradient"]["group_signed_ncc"]) < 0.2  # white noise
    assert len(found["scans"]) == 12
    assert found["participants"] == {"case": 6, "control": 6}
    sidecar = json.loads((run.group / "space-MNI152_desc-aligned_logjacobian.json").read_text(encoding="utf-8"))
    assert sidecar["Sign"].startswith("negative: smaller in cases")


def test_without_truth_nothing_is_said_of_it(run, tmp_path):
    compare(run, run.cohort, None, tmp_path)
    found = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert "truth" not in found
    assert not any("truth" in path.name.lower() for path in tmp_path.iterdir())
    assert "group_signed_ncc" not in found["saliency"]["gradient"]


def test_a_participant_with_two_scans_counts_once(run, tmp_path):
    cohort = shutil.copytree(run.cohort, tmp_path / "cohort")
    index = pd.read_csv(cohort / "index.csv")
    index = index.iloc[[0, 2, 4, 1, 3, 5, 7]].assign(fold=[0, 0, 1, 0, 1, 0, 1])  # the first two are one control's
    index.loc[2, "participant_id"] = "sub-01"
    index.to_csv(cohort / "index.csv", index=False)
    compare(run, cohort, None, tmp_path / "group")
    one, two, three = (
        images.load(run.maps / layout.log_jacobian(scan, "inject"))[0] for scan in ("sub-01", "sub-03", "sub-05")
    )
    brain = images.load(cohort / "brain_mask.nii.gz")[0] > 0
    found = images.load(tmp_path / "group" / layout.group_map("injectControl"))[0]
    np.testing.assert_allclose(found, ((one + two) / 2 + three) / 2 * brain, atol=1e-6)


def test_a_slope_over_age_with_a_nuisance_variable_is_that_of_the_maps(run, tmp_path):
    cohort = shutil.copytree(run.cohort, tmp_path / "cohort")
    index = pd.read_csv(cohort / "index.csv").assign(site=["A", "A", "B"] * 4)
    index.to_csv(cohort / "index.csv", index=False)
    settings = ComparisonSettings(permutations=20, tfce=False, tested="age", covariates="site")
    compare_groups(cohort, run.maps, run.transforms, None, 0, tmp_path / "group", settings)
    brain = images.load(cohort / "brain_mask.nii.gz")[0] > 0

    def both(scan):
        inject, remove = (images.load(run.maps / layout.log_jacobian(scan, d))[0][brain] for d in layout.DIRECTIONS)
        return (inject - remove) / 2

    maps = [both(scan) for scan in index["scan_id"]]
    fold = index["fold"].to_numpy()[:, None] == np.unique(index["fold"])
    model = np.column_stack([fold, index["site"] == "B", index["age"]]).astype(float)
    beta, residue, rank, _ = np.linalg.lstsq(model, np.array(maps, float), rcond=None)
    variance = residue / (len(index) - rank) * np.linalg.inv(model.T @ model)[-1, -1]
    t = images.load(tmp_path / "group" / layout.group_statistic("age", "t"))[0][brain]
    np.testing.assert_allclose(t, beta[-1] / np.sqrt(variance), rtol=1e-3, atol=1e-3)
    design = pd.read_csv(tmp_path / "group" / "design_age.csv")
    assert list(design) == ["participant_id", "fold", "fold_0", "fold_1", "fold_2", "age", "site_B"]
    sidecar = json.loads((tmp_path / "group" / "space-MNI152_desc-age_stat-t_statmap.json").read_text(encoding="utf-8"))
    assert sidecar["Tested"] == "age"
    regions = pd.read_csv(tmp_path / "group" / "regions_tested.csv")
    assert regions["contrast"].unique().tolist() == ["age", "ageControl", "ageCase"]


def test_a_factor_of_several_levels_is_tested_together_and_in_pairs(run, tmp_path):
    cohort = shutil.copytree(run.cohort, tmp_path / "cohort")
    index = pd.read_csv(cohort / "index.csv").assign(diagnosis=["CN", "AD"] * 3 + ["CN", "MCI"] * 3)
    index.to_csv(cohort / "index.csv", index=False)
    settings = ComparisonSettings(permutations=20, tfce=True, tested="diagnosis")
    compare_groups(cohort, run.maps, run.transforms, None, 0, tmp_path / "group", settings)
    found = json.loads((tmp_path / "group" / "comparison.json").read_text(encoding="utf-8"))["inference"]
    named = {name: (c["statistic"], c["comparisons"], c["participants"]) for name, c in found.items() if "diag" in name}
    assert named == {  # of controls there is one diagnosis only
        "diagnosis": ("F", 1, 12),
        "diagnosisCnMinusAd": ("t", 3, 9),
        "diagnosisMciMinusAd": ("t", 3, 6),
        "diagnosisMciMinusCn": ("t", 3, 9),
        "diagnosisCase": ("t", 1, 6),
    }
    assert (tmp_path / "group" / layout.group_statistic("diagnosis", "log10pTFCE")).is_file()
    weights = pd.read_csv(tmp_path / "group" / "contrasts.csv")
    assert weights.groupby("contrast")["row"].nunique()["diagnosis"] == 2
    assert weights.query("contrast == 'aligned'")["weight"].tolist() == pytest.approx([1 / 3] * 3)
    design = pd.read_csv(tmp_path / "group" / "design_diagnosis.csv")
    assert set(weights.query("contrast == 'diagnosis'")["column"]) < set(design)


def test_the_volume_change_at_the_dose_that_flips_is_of_the_path(run):
    regions = pd.read_csv(run.group / "regions_scans.csv").set_index(["scan_id", "region"])
    missed = regions.loc["sub-12"]
    assert missed["remove_dose_to_flip"].isna().all() and missed["remove_flip_ml"].isna().all()
    flipped = regions.loc["sub-01"]
    assert (flipped["inject_dose_to_flip"] == 0.5).all()
    # the tiny run's velocity shifts the whole brain: no volume changes on the way, whatever the map at full dose says
    assert flipped["inject_flip_percent"].abs().max() < 1
    assert flipped["inject_percent"].abs().max() > 5
    np.testing.assert_allclose(
        flipped["inject_flip_ml"], flipped["inject_flip_percent"] * flipped["volume_ml"] / 100, atol=1e-3
    )


def test_a_missing_map_is_named(run, tmp_path):
    with pytest.raises(InputError, match=r"explanations_\*\.csv: expected the tables of map-jacobians, found none"):
        compare_groups(run.cohort, tmp_path, run.transforms, None, 0, tmp_path, QUICK)
    shutil.copy(run.maps / "explanations_fold-0_chunk-0.csv", tmp_path)
    with pytest.raises(InputError, match=r"sub-01_space-MNI152_desc-inject_logjacobian\.nii\.gz: expected a map"):
        compare_groups(run.cohort, tmp_path, run.transforms, None, 0, tmp_path, QUICK)


def test_saliency_of_every_held_out_scan(run, tmp_path):
    classifier = Classifier(torch.zeros(1, 1, *run.grid.shape), width=2, dropout=0.0).eval()
    (tmp_path / "model").mkdir()
    save_classifier(classifier, tmp_path / "model", width=2, dropout=0.0)
    settings = SaliencySettings("gradient", batch_size=3)
    map_saliency(run.cohort, tmp_path / "model", 1, "cpu", tmp_path / "out", settings)
    index = pd.read_csv(run.cohort / "index.csv")
    held_out = index[index["fold"] == 1]["scan_id"]
    names = {path.name for path in (tmp_path / "out").glob("*.nii.gz")}
    assert names == {layout.saliency(scan, "gradient") for scan in held_out}
    values, grid = images.load(tmp_path / "out" / layout.saliency(held_out.iloc[-1], "gradient"))
    assert np.allclose(grid.affine, run.grid.affine)
    image = torch.from_numpy(np.load(run.cohort / "images.npy")[held_out.index[-1]].astype(np.float32))[None, None]
    image.requires_grad_()
    classifier(image).sum().backward()
    np.testing.assert_allclose(values, image.grad[0, 0].numpy(), atol=1e-6)
    assert json.loads((tmp_path / "out" / "saliency_fold-1.json").read_text(encoding="utf-8"))["scans"] == len(held_out)
