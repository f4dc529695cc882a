"""A classifier of several networks, each of which has not seen another part of the training participants."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from packed import write_packed_cohort

from counterwarp.cohort.store import CohortStore
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ClassifierSettings, SaliencySettings
from counterwarp.explain.saliency import attribute, chosen
from counterwarp.networks.classifier import Classifier, Ensemble, load_classifier, save_classifier
from counterwarp.networks.targets import TargetClassifier
from counterwarp.stages.import_classifier import import_classifier
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.training import loop

FOLD, NETWORKS = 0, 3
SETTINGS = ClassifierSettings(ensemble=NETWORKS, epochs=2, width=4, batch_size=2)


def train(cohort, output, settings=SETTINGS, checkpoints=None):
    train_classifier(cohort, FOLD, 1, "cpu", 1, checkpoints, output, settings)
    return pd.read_csv(output / "predictions.csv")


def logits_of(network, store):
    return torch.cat([network(torch.tensor(image[None, None].astype(np.float32))) for image in store.images])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_packed_cohort(tmp_path_factory.mktemp("cohort"), scans=16)


@pytest.fixture(scope="module")
def trained(cohort, tmp_path_factory):
    output = tmp_path_factory.mktemp("classifier")
    train(cohort, output)
    return output


def test_every_validation_logit_is_that_of_the_one_network_that_did_not_see_the_scan(cohort, trained):
    store, ensemble = CohortStore(cohort), load_classifier(trained)
    table = pd.read_csv(trained / "predictions.csv")
    held_out = store.positions(FOLD, held_out=True)
    assert set(table.loc[held_out, "split"]) == {"test"} and set(table.drop(held_out)["split"]) == {"validation"}
    np.testing.assert_allclose(table.loc[held_out, "logit"], logits_of(ensemble, store)[held_out], atol=1e-4)
    of_networks = torch.stack([logits_of(network, store) for network in ensemble.members]).numpy()
    matches = np.isclose(of_networks, table["logit"].to_numpy(), atol=1e-4).T
    means = np.stack([network.mean_image[0, 0].numpy() for network in ensemble.members])
    for position in store.positions(FOLD, held_out=False):
        (network,) = np.flatnonzero(matches[position])
        # the mean image of a network's training scans says who they were
        others = [p for p in store.positions(FOLD, held_out=False) if not matches[p, network]]
        np.testing.assert_allclose(means[network], store.images[others].astype(np.float64).mean(0), atol=1e-5)


def test_the_gap_is_over_all_training_participants(trained):
    table = pd.read_csv(trained / "predictions.csv")
    means = table[table["split"] == "validation"].groupby("is_case")["logit"].mean()
    record = json.loads((trained / "classifier.json").read_text(encoding="utf-8"))
    assert record["logit_gap"] == pytest.approx(means[1] - means[0])
    assert len(list(trained.glob("member-*/history.csv"))) == NETWORKS


def test_a_training_that_was_stopped_goes_on_with_the_network_it_was_at(cohort, trained, tmp_path, monkeypatch):
    """Stopped in the first step of the last network."""
    steps, update = [], loop._Training.update

    def stop(self, number, batch):
        steps.append(number)
        if steps.count(0) == NETWORKS:
            raise KeyboardInterrupt
        return update(self, number, batch)

    monkeypatch.setattr(loop._Training, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        train(cohort, tmp_path, checkpoints=tmp_path / "checkpoints")
    done = len(steps) - 1
    again = []
    monkeypatch.setattr(loop._Training, "update", lambda *step: again.append(step[1]) or update(*step))
    train(cohort, tmp_path, checkpoints=tmp_path / "checkpoints")
    assert len(again) == done / (NETWORKS - 1)
    for name in ("classifier.safetensors", "predictions.csv", *(f"member-{n}/history.csv" for n in (1, 2, 3))):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes(), name
    assert not list((tmp_path / "checkpoints").iterdir())


def test_an_ensemble_of_several_case_groups_survives_its_file(tmp_path):
    torch.manual_seed(0)
    settings, shape = {"width": 4, "targets": ["MCI", "AD"]}, (16, 16, 16)
    ensemble = Ensemble([Classifier(torch.randn(1, 1, *shape), **settings) for _ in range(2)]).eval()
    save_classifier(ensemble, tmp_path, **settings)
    x, again = torch.randn(3, 1, *shape), load_classifier(tmp_path)
    torch.testing.assert_close(again(x), ensemble(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again(x), (ensemble.members[0](x) + ensemble.members[1](x)) / 2, atol=1e-4, rtol=1e-4)
    assert again.targets == ("MCI", "AD")
    target = TargetClassifier(again, torch.tensor([[0.0, 1.0]]))
    methods = SaliencySettings(methods="gradient,guidedGradcam")
    assert chosen(methods, target) == ["gradient", "guidedGradcam"]
    for method in methods.names:
        members = [attribute(method, member, x, methods, [4.0] * 3) for member in target.members]
        torch.testing.assert_close(attribute(method, target, x, methods, [4.0] * 3), (members[0] + members[1]) / 2)


def test_an_ensemble_is_imported_as_it_was_trained(cohort, trained, tmp_path):
    import_classifier(cohort, trained, FOLD, "cpu", tmp_path)
    x = torch.randn(2, 1, *CohortStore(cohort).grid.shape)
    assert torch.equal(load_classifier(tmp_path)(x), load_classifier(trained)(x))


@pytest.mark.parametrize("networks", [0, 8])
def test_more_networks_than_participants_to_leave_out_are_refused(cohort, tmp_path, networks):
    with pytest.raises(InputError, match=rf"--classifier.ensemble {networks}: expected 1 to \d, since each network"):
        train(cohort, tmp_path, ClassifierSettings(ensemble=networks))
