"""Export of maps: files are written beside the computation, and what goes wrong there is not lost."""

import json
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
from packed import write_packed_cohort

from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.files import BackgroundWriter
from counterwarp.core.settings import JacobianSettings
from counterwarp.explain.jacobians import dose_path, explain
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.networks.fields import VELOCITY, warp
from counterwarp.networks.intensity import z_scored_as
from counterwarp.networks.simulator import Simulator, save_simulator
from counterwarp.networks.warps import resample
from counterwarp.stages.map_jacobians import map_jacobians

SPACING = (8.0, 8.0, 8.0)
GRID_SIDES = (120.0, 184.0, 120.0)  # mm; 16, 24, 16 voxels


def fail(path):
    raise OSError(f"{path}: disk full")


@pytest.mark.parametrize("after", [0, 3])
def test_a_writers_error_reaches_the_caller(tmp_path, after):
    written = []
    with pytest.raises(OSError, match="disk full"), BackgroundWriter(threads=1) as write:
        for number in range(after):
            write(written.append, number)
        write(fail, tmp_path)
        for _ in range(100):
            time.sleep(0.001)
            write(written.append, None)
    assert written[:after] == list(range(after))


def test_a_caller_faster_than_the_disk_waits():
    gate, started = threading.Event(), []
    threading.Timer(0.2, gate.set).start()
    with BackgroundWriter(threads=1, waiting=2) as write:
        begin = time.monotonic()
        for number in range(4):
            write(lambda n: (started.append(n), gate.wait()), number)
        assert time.monotonic() - begin > 0.1
    assert started == [0, 1, 2, 3]


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    classifier, simulator = Classifier(torch.zeros(1, 1, 16, 24, 16), 4), Simulator(width=8)
    torch.nn.init.normal_(simulator.output.weight, std=0.3)
    return classifier.eval().requires_grad_(False), simulator.eval().requires_grad_(False)


def test_the_dose_path_is_that_of_warps_of_a_smaller_velocity(networks):
    classifier, simulator = networks
    image = torch.randn(1, 1, 16, 24, 16, generator=torch.Generator().manual_seed(1))
    coarse = simulator(image, torch.tensor([1.0]))
    assert 1 < coarse.abs().max() < 16  # a warp worth the name: mm
    doses = torch.linspace(0, 1, 6).tolist()
    warped = [resample(image, warp(coarse, VELOCITY, SPACING, dose), SPACING) for dose in doses]
    expected = torch.cat([classifier(one) for one in warped])
    path = dose_path(classifier, image, coarse, warped[-1], SPACING, 5)[0]
    # ten times finer than the path's own range: both integrate the same flow, with other steps
    torch.testing.assert_close(path, expected, atol=0.1 * float(expected.max() - expected.min()), rtol=0)
    torch.testing.assert_close(path[0], expected[0])
    torch.testing.assert_close(path[-1], expected[-1])
    ends = dose_path(classifier, image, coarse, warped[-1], SPACING, 1)[0]
    torch.testing.assert_close(ends, expected[[0, -1]])
    brain = torch.ones(16, 24, 16, dtype=torch.bool)
    result = explain(classifier, simulator, image, SPACING, brain, 1.0, 5)["inject"]
    torch.testing.assert_close(result.simulated, warped[-1][0, 0])
    seen = classifier(z_scored_as(image, warped[-1], brain))
    assert result.logit_simulated == pytest.approx(float(seen), rel=1e-4)


@pytest.fixture(scope="module")
def exported(networks, tmp_path_factory):
    """A packed cohort of an uneven grid and the maps of one fold's scans."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "cohort").mkdir()
    write_packed_cohort(folder / "cohort", side=GRID_SIDES)
    for name in ("classifier", "simulator"):
        (folder / name).mkdir()
    save_classifier(networks[0], folder / "classifier", width=4)
    save_simulator(networks[1], folder / "simulator", width=8)
    (folder / "simulator" / "simulator.json").write_text(json.dumps({"margin": 1.0}), encoding="utf-8")
    settings = JacobianSettings(doses=2)
    map_jacobians(
        folder / "cohort", folder / "classifier", folder / "simulator", 1, 0, "cpu", folder / "maps", settings
    )
    return CohortStore(folder / "cohort"), folder / "maps"


def test_a_chunk_has_the_files_of_its_scans(exported):
    store, out = exported
    scans = store.index["scan_id"][store.positions(1, held_out=True)]
    assert len(list(out.glob("*.nii.gz"))) == 2 * 4 * len(scans)
    table = pd.read_csv(out / "explanations_fold-1_chunk-0.csv")
    assert sorted(set(table["scan_id"])) == sorted(scans)
    assert pd.read_csv(out / "doses_fold-1_chunk-0.csv").groupby("scan_id").size().eq(6).all()
    for scan in scans:
        inject, _ = images.load(out / layout.log_jacobian(scan, "inject"))
        assert np.isfinite(inject).all()
        assert inject.std() > 0


def test_returning_by_the_opposite_warp_brings_the_scan_back(networks):
    """Constant velocities of opposite sign: translation there and back is the identity, twice there is not."""
    image = torch.randn(1, 1, 16, 24, 16, generator=torch.Generator().manual_seed(1))
    brain = torch.zeros(16, 24, 16, dtype=torch.bool)
    brain[4:12, 4:12, 4:12] = True

    def translate(sign):
        return lambda _image, condition: sign(condition)[:, None, None, None, None] * torch.full((1, 3, 8, 12, 8), 8.0)

    for sign, error in ((lambda c: c, 0.0), (lambda c: c.abs(), 16 * 3**0.5)):
        back = explain(networks[0], translate(sign), image, SPACING, brain, 1.0, 1)["inject"].back
        assert back.field_error == pytest.approx(error, abs=1e-3)  # mm
        # noise against itself, or against other noise of the same variance: 0, or about 2
        assert back.image_error == pytest.approx(0 if error == 0 else 2, abs=1e-5 if error == 0 else 0.3)


@pytest.mark.parametrize(
    ("margin", "scale"), [(4.0, 1.0), (8.0, 1.0), (12.0, 1.5), (15.9, 2.0), (30.0, 2.0)], ids=str
)  # mm
def test_a_velocity_is_lengthened_until_the_logit_moves_by_the_margin(margin, scale):
    """The image is a position in mm, the logit that of the centre, the velocity a constant 8 mm along x.

    The brain, over which intensities are standardised, is where no warp along x changes anything.
    """
    image = (torch.arange(16.0) * SPACING[0])[:, None, None].repeat(1, 1, 1, 24, 16)
    image[:, :, :, 18:] = torch.arange(16.0)
    brain = torch.zeros(16, 24, 16, dtype=torch.bool)
    brain[:, 18:] = True
    velocity = torch.zeros(1, 3, 8, 12, 8)
    velocity[:, 0] = 8.0

    def signed(_images, conditions):
        return conditions[:, None, None, None, None] * velocity

    results = explain(
        lambda x: x[:, 0, 8, 12, 8], signed, image, SPACING, brain, margin, 4, cycle=False, largest_scale=2.0
    )
    for sign, result in zip((1, -1), results.values(), strict=True):
        moved = sign * (result.logit_simulated - result.logit)
        assert result.scale == pytest.approx(scale, rel=0.02)
        assert moved == pytest.approx(8 * result.scale, abs=1e-3)
        assert result.margin_reached == (margin < 16) == (moved >= margin)
        torch.testing.assert_close(result.field[0], torch.full((8, 12, 8), sign * 8 * result.scale))
        torch.testing.assert_close(result.dose_logits[2], result.logit + sign * torch.tensor(moved / 2))


def test_the_table_says_how_far_a_scan_returns(exported):
    table = pd.read_csv(exported[1] / "explanations_fold-1_chunk-0.csv")
    returned = table[["logit_returned", "cycle_error", "cycle_mm"]].to_numpy()
    assert np.isfinite(returned).all()
    assert (returned[:, 1:] > 0).all()


def test_without_the_way_back_the_maps_are_the_same(exported, tmp_path):
    store, out = exported
    root, settings = out.parent, JacobianSettings(doses=2, cycle=False)
    map_jacobians(root / "cohort", root / "classifier", root / "simulator", 1, 0, "cpu", tmp_path, settings)
    name = "explanations_fold-1_chunk-0.csv"
    table, full = pd.read_csv(tmp_path / name), pd.read_csv(out / name)
    measured = ["logit_returned", "cycle_error", "cycle_mm"]
    assert table[measured].isna().all().all()
    pd.testing.assert_frame_equal(table.drop(columns=measured), full.drop(columns=measured))
    scan = store.index["scan_id"][store.positions(1, held_out=True)[0]]
    assert (tmp_path / layout.warp(scan, "inject")).read_bytes() == (out / layout.warp(scan, "inject")).read_bytes()
