"""A preset gives the options that the caller does not, and the networks of the published method make sound products."""

import json

import click
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from packed import write_packed_cohort

from counterwarp.cli.options import settings_options
from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.settings import IPMI2021, ClassifierSettings, JacobianSettings, SimulatorSettings, with_preset
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.networks.simulator import load_simulator, save_simulator
from counterwarp.networks.warps import jacobian_determinant
from counterwarp.report.viewer import DOSES, dose_frames
from counterwarp.stages.map_jacobians import map_jacobians
from counterwarp.stages.train_simulator import train_simulator
from counterwarp.stages.warp_scan import warp_scan


def settings_of(*arguments):
    """What a command with the simulator's options receives."""
    received = []

    @click.command()
    @settings_options(SimulatorSettings)
    def command(settings):
        received.append(settings)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return received[0]


def test_a_preset_gives_way_to_what_is_given_even_if_that_is_the_default():
    assert settings_of() == SimulatorSettings()
    assert settings_of("--preset", "ipmi2021") == SimulatorSettings(preset="ipmi2021", **IPMI2021)
    given = settings_of("--preset", "ipmi2021", "--steps", "7", "--critic", str(SimulatorSettings.critic))
    assert given == SimulatorSettings(preset="ipmi2021", **IPMI2021 | {"steps": 7, "critic": SimulatorSettings.critic})


def test_settings_without_presets_are_their_defaults():
    assert with_preset(ClassifierSettings, {"epochs": 3}) == ClassifierSettings(epochs=3)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The published method after a few steps, its last layer made large by hand so that warps are, and its maps."""
    folder = tmp_path_factory.mktemp("published")
    for name in ("cohort", "classifier"):
        (folder / name).mkdir()
    store = CohortStore(write_packed_cohort(folder / "cohort"))
    torch.manual_seed(0)
    classifier = Classifier(torch.zeros(1, 1, *store.grid.shape), 4)
    with torch.no_grad():  # brightness is the class
        for parameter in classifier.parameters():
            parameter.abs_()
    save_classifier(classifier, folder / "classifier", width=4)
    (folder / "classifier" / "classifier.json").write_text(json.dumps({"logit_gap": 1.0}), encoding="utf-8")
    settings = with_preset(
        SimulatorSettings, {"preset": "ipmi2021", "steps": 3, "batch_size": 4, "width": 8, "only_correct": False}
    )
    train_simulator(store.folder, folder / "classifier", 1, 0, "cpu", 1, None, folder / "simulator", settings)
    simulator, networks = load_simulator(folder / "simulator"), (folder / "classifier", folder / "simulator")
    torch.nn.init.normal_(simulator.output.weight, std=0.3)
    built = json.loads((folder / "simulator" / "network.json").read_text(encoding="utf-8"))
    save_simulator(simulator, folder / "simulator", **built)
    map_jacobians(store.folder, *networks, 1, 0, "cpu", folder / "maps", JacobianSettings(doses=2))
    return store, folder


def test_a_displacement_is_exported_with_the_volume_change_of_its_inverse(published):
    store, folder = published
    maps = folder / "maps"
    assert not list(maps.glob("*velocity*"))
    table = pd.read_csv(maps / "explanations_fold-1_chunk-0.csv").set_index(["scan_id", "direction"])
    for scan, direction in table.index:
        warp, _ = images.load_displacement(maps / layout.warp(scan, direction))
        displacement = torch.from_numpy(warp).movedim(-1, 0)[None]
        assert float(displacement.abs().max()) > 0.1  # mm
        log_jacobian = torch.from_numpy(images.load(maps / layout.log_jacobian(scan, direction))[0])
        folded = (jacobian_determinant(displacement, store.grid.spacing)[0] <= 0) | ~log_jacobian.isfinite()
        assert table.loc[(scan, direction), "folding_fraction"] == pytest.approx(float(folded.float().mean()), abs=1e-6)


def test_a_displacement_at_half_the_dose_is_half_of_it(published, tmp_path):
    store, folder = published
    scan = store.index["scan_id"][store.positions(1, held_out=True)[0]]
    image, paths = store.images[store.positions(1, held_out=True)[0]].astype(np.float32), {}
    images.save(tmp_path / layout.aligned_t1w(scan), image, store.grid)
    for direction in layout.DIRECTIONS:
        paths[direction] = folder / "maps" / layout.warp(scan, direction)
        warp_scan(paths[direction], 0.5, tmp_path / layout.aligned_t1w(scan), None, tmp_path / "half")
        half, full = (
            images.load_displacement(path)[0] for path in (tmp_path / "half" / paths[direction].name, paths[direction])
        )
        np.testing.assert_allclose(half, full / 2, atol=1e-5)
    frames = dose_frames(image, store.grid, paths["inject"], paths["remove"])
    assert frames.shape == (*image.shape, len(DOSES))
    for frame, direction in ((0, "remove"), (-1, "inject")):
        simulated = images.load(folder / "maps" / layout.simulated_t1w(scan, direction))[0]
        np.testing.assert_allclose(frames[..., frame], simulated, atol=1e-4)


def test_the_warp_of_a_velocity_is_not_taken_for_a_displacement(published, tmp_path):
    store, folder = published
    scan = store.index["scan_id"][store.positions(1, held_out=True)[0]]
    for name in (layout.warp(scan, "inject"), layout.velocity(scan, "inject")):
        (tmp_path / name).write_bytes((folder / "maps" / layout.warp(scan, "inject")).read_bytes())
    with pytest.raises(InputError, match=r"is the exponential of .*_velocity.nii.gz. Give that file instead"):
        warp_scan(tmp_path / layout.warp(scan, "inject"), 0.5, tmp_path / "T1w.nii.gz", None, tmp_path)
