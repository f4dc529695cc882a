"""Classifiers and simulators that were trained elsewhere or before: what is accepted, and what they then do."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from packed import write_packed_cohort
from torch import nn

from counterwarp.cohort.review import Verdict
from counterwarp.cohort.seen import check_models, exclude_seen, scan_hash
from counterwarp.cohort.store import CohortStore
from counterwarp.core import layout
from counterwarp.core.errors import InputError
from counterwarp.core.files import FileTree
from counterwarp.core.geometry import Grid
from counterwarp.core.settings import JacobianSettings, SimulatorSettings
from counterwarp.networks.classifier import load_classifier
from counterwarp.networks.imported import check_classifier, read_program
from counterwarp.stages.import_classifier import import_classifier
from counterwarp.stages.map_jacobians import map_jacobians
from counterwarp.stages.train_simulator import train_simulator

SIDE = 16


class Brightness(nn.Module):
    """The logit is the mean of the scan, twice, less 1: positive in this cohort's cases."""

    def __init__(self, outputs=0):
        super().__init__()
        self.outputs = outputs
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        logit = self.scale * x.mean(dim=(1, 2, 3, 4)) - 1
        return torch.stack([torch.zeros_like(logit), logit], 1) if self.outputs == 2 else logit[:, None]


class Fails(Brightness):
    """Programs that cannot be explained, each in its own way."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        logit = super().forward(x)
        return {
            "nan": lambda: logit / 0 * 0, "flat": lambda: logit.round(), "detached": lambda: logit.detach(),
            "batch": lambda: logit - logit.mean(), "three": lambda: logit.expand(-1, 3),
        }[self.how]()  # fmt: skip


def images(scans=3):
    return torch.randn(scans, 1, SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) + 0.5


def export(network, path, batch=torch.export.Dim.DYNAMIC):
    if path.suffix == ".pt2":
        shapes = ({0: batch},) if batch else None
        torch.export.save(torch.export.export(network.eval(), (images(2),), dynamic_shapes=shapes), path)
    else:
        torch.jit.trace(network.eval(), images(2)).save(str(path))
    return path


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_packed_cohort(tmp_path_factory.mktemp("cohort"), side=120.0)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("ending", [".pt2", ".ts"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_program_gives_the_logits_of_its_network(tmp_path, ending, outputs):
    program = read_program(export(Brightness(outputs), tmp_path / f"mine{ending}"))
    for scans in (1, 2, 5):
        expected = 2 * images(scans).mean(dim=(1, 2, 3, 4)) - 1
        torch.testing.assert_close(program(images(scans)), expected)
    check_classifier("mine", program, images())
    assert not any(p.requires_grad for p in program.parameters())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "expected finite logits, got \\[nan"),
        ("flat", "expected a finite gradient of the logit, not 0 everywhere"),
        ("detached", "expected a finite gradient of the logit, not 0 everywhere"),
        ("batch", "among others and of 0 alone, expected one number: it was exported in training mode"),
        ("three", "give a logit for each, also for one scan alone; it fails"),
    ],
)
def test_what_cannot_be_explained_is_refused(how, message):
    from counterwarp.networks.imported import ImportedClassifier

    with pytest.raises(InputError, match=f"mine: .*{message}"):
        check_classifier("mine", ImportedClassifier(Fails(how)), images())


def test_a_program_of_another_grid_or_batch_is_refused(tmp_path):
    of_two = read_program(export(Brightness(), tmp_path / "two.pt2", batch=None))
    with pytest.raises(InputError, match=r"it fails: Guard failed.*dynamic_shapes"):
        check_classifier("two.pt2", of_two, images())
    program = read_program(export(Brightness(), tmp_path / "mine.pt2"))
    with pytest.raises(InputError, match=r"mine: expected to take images \(3, 1, 8, 16, 16\).*--resolution or --shape"):
        check_classifier("mine", program, images()[:, :, :8])


def test_files_that_are_no_programs_are_named(tmp_path):
    for name, message in (("a.pt2", "expected a program of torch.export"), ("a.ts", "expected TorchScript")):
        (tmp_path / name).write_text("weights", encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_program(tmp_path / name)
    with pytest.raises(InputError, match=r"expected a classifier as .pt2, .ts, .pt, .pth, got '.onnx'"):
        read_program(tmp_path / "a.onnx")


@pytest.fixture(scope="module")
def explained(cohort, tmp_path_factory):
    """An imported classifier, a simulator trained against it for a few steps, and the maps of both."""
    folder = tmp_path_factory.mktemp("imported")
    mine, out = export(Brightness(), folder / "mine.pt2"), folder / "models" / "fold-1"
    import_classifier(cohort, mine, 1, "cpu", out / "classifier")
    settings = SimulatorSettings(steps=2, width=8)
    train_simulator(cohort, out / "classifier", 1, 0, "cpu", 1, None, out / "simulator", settings)
    maps = folder / "maps"
    map_jacobians(cohort, out / "classifier", out / "simulator", 1, 0, "cpu", maps, JacobianSettings(doses=1))
    return folder


def test_an_imported_classifier_takes_the_place_of_a_trained_one(cohort, explained):
    store, folder = CohortStore(cohort), explained / "models" / "fold-1" / "classifier"
    table = pd.read_csv(folder / "predictions.csv")
    expected = 2 * store.images[:].astype(np.float32).mean(axis=(1, 2, 3)) - 1
    np.testing.assert_allclose(table["logit"], expected, atol=1e-5)
    assert set(table.loc[store.index["fold"] == 1, "split"]) == {"test"}
    assert set(table.loc[store.index["fold"] != 1, "split"]) == {"validation"}
    record = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    others = table[table["split"] == "validation"].groupby("is_case")["logit"].mean()
    assert record["logit_gap"] == pytest.approx(others[1] - others[0])
    assert record["auc"]["test"] == 1
    explanations = pd.read_csv(explained / "maps" / "explanations_fold-1_chunk-0.csv").set_index("scan_id")
    logits = table.set_index("scan_id")["logit"].loc[explanations.index]
    np.testing.assert_allclose(explanations["logit"], logits, atol=1e-4)
    assert (explanations["margin"] == record["logit_gap"]).all()


def test_a_trained_classifier_is_taken_over_with_its_logits(cohort, explained, tmp_path):
    earlier = explained / "models" / "fold-1" / "classifier"
    import_classifier(cohort, earlier, 0, "cpu", tmp_path)
    again = pd.read_csv(tmp_path / "predictions.csv")
    assert again["logit"].equals(pd.read_csv(earlier / "predictions.csv")["logit"])
    assert set(again.loc[CohortStore(cohort).index["fold"] == 0, "split"]) == {"test"}
    torch.testing.assert_close(load_classifier(tmp_path)(images()), load_classifier(earlier)(images()))


def test_people_and_scans_that_trained_the_simulators_are_left_out(explained, tmp_path):
    models = explained / "models"
    table = pd.read_csv(models / "fold-1" / "simulator" / "scans.csv", dtype=str)
    assert "sub-2" not in set(table["scan_id"])  # held out
    table.loc[0, "t1w_sha256"] = "abc"
    new_models = tmp_path / "models" / "fold-0" / "simulator"
    new_models.mkdir(parents=True)
    table.to_csv(new_models / "scans.csv", index=False)
    people = {"sub-new": "def", "sub-copy": "abc", "sub-1": "ghi", "sub-failed": None}
    for scan_id, digest in people.items():
        text = json.dumps({"t1w_sha256": digest} if digest else {})
        (tmp_path / layout.extraction_record(scan_id)).write_text(text, encoding="utf-8")
    scans = FileTree(tmp_path)
    assert [scan_hash(scans, scan_id) for scan_id in people] == list(people.values())
    verdicts = {scan_id: Verdict("align_affine", "PASS", []) for scan_id in people}
    verdicts["sub-failed"] = Verdict("extract_brain", "FAIL", ["broken"])
    exclude_seen(
        verdicts, pd.DataFrame({"scan_id": list(people), "participant_id": list(people)}), scans, tmp_path / "models"
    )
    assert verdicts["sub-new"].status == "PASS"
    assert verdicts["sub-copy"].reasons == ["the simulators were trained on this very scan"]
    assert "trained on a participant of this name" in verdicts["sub-1"].reasons[0]
    assert verdicts["sub-failed"].reasons == ["broken"]


def test_models_of_another_grid_or_number_are_refused(cohort, explained, tmp_path):
    models, grid = explained / "models", CohortStore(cohort).grid
    check_models(models, grid, 1)
    with pytest.raises(InputError, match="expected --folds 5 folders fold-\\*, found 1"):
        check_models(models, grid, 5)
    with pytest.raises(InputError, match=r"fold-1: expected networks of this run's grid \(16, 16, 16\) at \(4"):
        check_models(models, Grid(grid.shape, grid.affine @ np.diag([0.5, 0.5, 0.5, 1])), 1)
    (tmp_path / "fold-0").mkdir()
    with pytest.raises(InputError, match=r"simulator.json: expected what train-simulator wrote"):
        check_models(tmp_path, grid, 1)
