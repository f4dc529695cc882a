"""The data sets whose truth is known or measured elsewhere, and how the method is tried on each of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nilearn.image import resample_img

from counterwarp.cohort import synthetic
from counterwarp.cohort.planted import plant_effect
from counterwarp.cohort.store import CohortStore
from counterwarp.core import templates
from counterwarp.core.geometry import Grid
from counterwarp.core.settings import ClassifierSettings, SaliencySettings, SimulationSettings, SimulatorSettings
from counterwarp.explain import saliency
from counterwarp.explain.evaluation import planted_agreement
from measured_folds import Networks, read_people
from morphometry import group_difference
from recovery import measure, train

MORPHOMETRY = "SyN morphometry, all scans"
PIXELS = ClassifierSettings(epochs=30, batch_size=16, shift=0.5, warp=0.5, noise=0.05, mirror=0.0, width=8)
STILL = SimulatorSettings(batch_size=16, shift=0.0, warp=0.0)
SALIENCY = SaliencySettings(methods=",".join(saliency.METHODS))
REGRESSION = ClassifierSettings(architecture="linear", ensemble=5, mirror=0.0, shift=0.0, warp=0.0, noise=0.0)


@dataclass(frozen=True)
class Planted:
    """A data set, the settings of both networks and of the saliency beside them, and how its truth is measured."""

    cohort: Callable[[Path, int], Path]
    classifier: ClassifierSettings
    simulator: SimulatorSettings
    saliency: SaliencySettings
    difference: bool = False
    brains: bool = False
    morphometry: bool = False

    def run(self, seed: int) -> dict[str, Any]:
        """One seed: a cohort of its own, networks outside one fold, measures of that fold."""
        with tempfile.TemporaryDirectory() as folder:
            cohort = self.cohort(Path(folder) / "cohort", seed)
            networks = train(cohort, 0, seed, self.classifier, self.simulator, Path(folder))
            regions = planted_regions(CohortStore(cohort).grid) if self.brains else {}
            found = measure(cohort, networks, 0, self.saliency, self.difference, regions)
            if self.morphometry:
                found["methods"][MORPHOMETRY] = measure_morphometry(cohort)
        return found

    def beside(self, methods: str) -> Planted:
        """With some of its baselines, named by commas."""
        names = [name.strip() for name in methods.split(",") if name.strip()]
        known = [*saliency.METHODS, "morphometry"]
        if unknown := sorted(set(names) - set(known)):
            raise SystemExit(f"--methods {', '.join(unknown)}: no such method; there are {', '.join(known)}")
        chosen = replace(self.saliency, methods=",".join(name for name in names if name in saliency.METHODS))
        return replace(self, saliency=chosen, morphometry=self.morphometry and "morphometry" in names)


@dataclass(frozen=True)
class Measured:
    """Real heads, packed, the results of their run, and their segmentations; see measured_folds.py.

    ``folds``: those to explain; () for all.
    """

    cohort: Path
    results: Path
    labels: Path
    simulator: SimulatorSettings
    folds: tuple[int, ...] = ()

    def run(self, seed: int) -> dict[str, Any]:
        """One seed: networks outside every fold, the held-out people beside what their segmentations measured."""
        people = read_people(self.cohort, self.results, self.labels)
        networks = Networks(REGRESSION, {"": self.simulator}, scale=3.0)
        held, _ = networks.explain(self.cohort, self.folds or people.folds, seed)[""]
        return people.explained(held)

    def beside(self, methods: str) -> Measured:
        """As it is: no map of saliency says how large a volume becomes."""
        return self


def planted(short: bool) -> dict[str, Planted]:
    """All data sets with a planted change by name; short ones are small enough for a test."""
    return {
        "four-gaussians": Planted(
            lambda folder, seed: synthetic.four_gaussians(folder, 200 if short else 512, seed),
            PIXELS,
            replace(STILL, steps=300 if short else 800, smoothness=1.0, magnitude=0.1),
            replace(SALIENCY, window=3.0, stride=1.0),
        ),
        "four-gaussians-3d": Planted(
            lambda folder, seed: synthetic.four_gaussians(folder, 80, seed, dimensions=3),
            PIXELS,
            replace(STILL, steps=200 if short else 400, batch_size=8),
            replace(SALIENCY, window=3.0, stride=2.0),
        ),
        "resized-squares": Planted(
            lambda folder, seed: synthetic.resized_squares(folder, 200 if short else 400, seed, 112 if short else 224),
            replace(PIXELS, shift=1.0),
            replace(
                STILL, steps=400 if short else 800, batch_size=8, smoothness=0.5, magnitude=0.001, critic=0.0, cycle=0.0
            ),
            replace(SALIENCY, window=12.0, stride=6.0) if short else replace(SALIENCY, window=16.0, stride=16.0),
            difference=True,
        ),
        "atrophy": Planted(
            lambda folder, seed: synthetic.atrophied_brains(
                folder, 36 if short else 100, seed, plant_effect(SimulationSettings()),
                templates.network_grid(8.0 if short else 4.0),
            ),
            ClassifierSettings(epochs=60),
            SimulatorSettings(steps=200 if short else 800),
            replace(SALIENCY, stride=SALIENCY.window),
            brains=True,
            morphometry=True,
        ),
    }  # fmt: skip


def real_heads(cohort: Path, results: Path, labels: Path, short: bool) -> Measured:
    """Real heads; short: one fold, a few steps."""
    return Measured(cohort, results, labels, SimulatorSettings(steps=60 if short else 600), (0,) if short else ())


def planted_regions(grid: Grid) -> dict[str, np.ndarray]:
    """Masks of the regions that atrophied brains shrink and grow, on a network grid."""
    effect, found = plant_effect(SimulationSettings()), {}
    for name, mask in effect.regions.items():
        image = nib.Nifti1Image(mask.astype(np.uint8), effect.grid.affine)
        moved = resample_img(image, grid.affine, grid.shape, interpolation="nearest", force_resample=True)
        found[name] = np.asarray(moved.dataobj) == 1
    return found


def measure_morphometry(cohort: Path) -> dict[str, float]:
    """Agreement of the groups' difference with the mean truth of all scans; it has no map of a participant."""
    store, truths = CohortStore(cohort), np.load(cohort / "truth.npy")
    is_case, brain = store.index["is_case"].to_numpy() == 1, store.brain_mask
    truth = (np.where(is_case, -1, 1).reshape(-1, 1, 1, 1) * truths).mean(axis=0)
    group = planted_agreement(group_difference(store.images, is_case, brain, store.grid), truth, brain)
    return {f"participant {key}": float("nan") for key in group} | {f"group {key}": v for key, v in group.items()}
