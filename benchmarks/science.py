"""Does the simulator move what the disease moves? Held-out images, planted truths, saliency beside it.

    python benchmarks/science.py four-gaussians|four-gaussians-3d|resized-squares|atrophy|all [--seeds 3] [--first 1]
        [--short] [--methods NAMES] [--simulator NAME=VALUE ...] [--output DIR]

four-gaussians     2-D, 32 x 32: two of four Gaussians are larger in cases
four-gaussians-3d  the same in 3-D, 32 x 32 x 32
resized-squares    2-D, 224 x 224 (--short: 112 x 112): the toy of DeFI-GAN; truth and score: differences of intensity;
                   beside it what could be said at best, as nobody can know to which side a square was resized
atrophy            3-D brains on the network grid, 4 mm (--short: 8 mm): hippocampus and amygdala shrink, ventricles
                   grow; beside it also deformation-based morphometry (SyN) of the whole cohort

Every seed makes a cohort of its own, trains both networks outside one fold and explains that fold. Printed and written
to DIR as science.json and science.md: medians over the seeds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nilearn.image import resample_img

from common import changed
from counterwarp.cohort import synthetic
from counterwarp.cohort.planted import plant_effect
from counterwarp.cohort.store import CohortStore
from counterwarp.core import templates
from counterwarp.core.geometry import Grid
from counterwarp.core.settings import ClassifierSettings, SaliencySettings, SimulationSettings, SimulatorSettings
from counterwarp.explain import saliency
from counterwarp.explain.evaluation import finite, planted_agreement
from morphometry import group_difference
from recovery import OURS, TRUTH, measure, train

MORPHOMETRY = "SyN morphometry, all scans"
PIXELS = ClassifierSettings(epochs=30, batch_size=16, shift=0.5, warp=0.5, noise=0.05, mirror=0.0, width=8)
STILL = SimulatorSettings(batch_size=16, shift=0.0, warp=0.0)
SALIENCY = SaliencySettings(methods=",".join(saliency.METHODS))


@dataclass(frozen=True)
class Experiment:
    """A data set, the settings of both networks and of the saliency beside them, and how its truth is measured."""

    cohort: Callable[[Path, int], Path]
    classifier: ClassifierSettings
    simulator: SimulatorSettings
    saliency: SaliencySettings
    difference: bool = False
    brains: bool = False
    morphometry: bool = False


def experiments(short: bool) -> dict[str, Experiment]:
    """All of them by name; short ones are small enough for a test."""
    return {
        "four-gaussians": Experiment(
            lambda folder, seed: synthetic.four_gaussians(folder, 200 if short else 512, seed),
            PIXELS,
            replace(STILL, steps=300 if short else 800, smoothness=1.0, magnitude=0.1),
            replace(SALIENCY, window=3.0, stride=1.0),
        ),
        "four-gaussians-3d": Experiment(
            lambda folder, seed: synthetic.four_gaussians(folder, 80, seed, dimensions=3),
            PIXELS,
            replace(STILL, steps=200 if short else 400, batch_size=8),
            replace(SALIENCY, window=3.0, stride=2.0),
        ),
        "resized-squares": Experiment(
            lambda folder, seed: synthetic.resized_squares(folder, 200 if short else 400, seed, 112 if short else 224),
            replace(PIXELS, shift=1.0),
            replace(
                STILL, steps=400 if short else 800, batch_size=8, smoothness=0.5, magnitude=0.001, critic=0.0, cycle=0.0
            ),
            replace(SALIENCY, window=12.0, stride=6.0),
            difference=True,
        ),
        "atrophy": Experiment(
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


def beside(experiment: Experiment, methods: str) -> Experiment:
    """An experiment with some of its baselines, named by commas."""
    names = [name.strip() for name in methods.split(",") if name.strip()]
    known = [*saliency.METHODS, "morphometry"]
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(f"--methods {', '.join(unknown)}: no such method; there are {', '.join(known)}")
    chosen = replace(experiment.saliency, methods=",".join(name for name in names if name in saliency.METHODS))
    return replace(experiment, saliency=chosen, morphometry=experiment.morphometry and "morphometry" in names)


def run(experiment: Experiment, seed: int) -> dict[str, Any]:
    """One seed: cohort, networks, measures, seconds."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cohort = experiment.cohort(Path(folder) / "cohort", seed)
        networks = train(cohort, 0, seed, experiment.classifier, experiment.simulator, Path(folder))
        regions = planted_regions(CohortStore(cohort).grid) if experiment.brains else {}
        found = measure(cohort, networks, 0, experiment.saliency, experiment.difference, regions)
        if experiment.morphometry:
            found["methods"][MORPHOMETRY] = measure_morphometry(cohort)
    return found | {"seconds": time.monotonic() - begin}


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


def median(found: list[Any]) -> Any:
    """Median over the seeds of every number of a nested record."""
    if isinstance(found[0], dict):
        return {key: median([f[key] for f in found]) for key in found[0]}
    return float(np.nanmedian(found)) if np.isfinite(found).any() else float("nan")


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """The results as tables."""
    lines = []
    for name, result in results.items():
        columns = list(result["methods"][OURS])
        lines += [
            f"## {name}, medians of {result['seeds']} seeds", "",
            f"| method | {' | '.join(column.replace('_', ' ') for column in columns)} |",
            "|---" * (1 + len(columns)) + "|",
        ]  # fmt: skip
        for method, values in sorted(result["methods"].items(), key=lambda item: -item[1]["group signed_ncc"]):
            title = f"**{method}**" if method == OURS else method
            lines.append(f"| {title} | " + " | ".join(f"{values[column]:.2f}" for column in columns) + " |")
        if result["regions"]:
            lines += ["", "| region | volume change, ours | true |", "|---|---|---|"]
        for region, change in result["regions"].items():
            lines.append(f"| {region.replace('_', ' ')} | {change[OURS]:+.0f} % | {change[TRUTH]:+.0f} % |")
        numbers = ", ".join(
            f"{key.replace('_', ' ')} {v:.3g}"
            for key, v in result.items()
            if key not in ("methods", "regions", "seeds")
        )
        lines += ["", numbers[0].upper() + numbers[1:], ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=[*experiments(short=True), "all"])
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--short", action="store_true")
    parser.add_argument(
        "--simulator", nargs="*", default=[], metavar="NAME=VALUE",
        help="settings of the simulator instead of the experiment's, e.g. critic=0 or preset=ipmi2021 steps=500",
    )  # fmt: skip
    parser.add_argument(
        "--methods",
        help="beside ours, by commas, instead of all: methods of saliency; morphometry. '' for none",
    )
    parser.add_argument("--output", type=Path, default=Path("science"))
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for name, experiment in experiments(options.short).items():
        if options.experiment in (name, "all"):
            experiment = replace(experiment, simulator=changed(experiment.simulator, "--simulator", options.simulator))
            if options.methods is not None:
                experiment = beside(experiment, options.methods)
            found = []
            for seed in range(options.first, options.first + options.seeds):
                found.append(run(experiment, seed))
                results[name] = median(found) | {"seeds": len(found)}
                text = write(results, vars(options))  # what there is, should a later seed be broken off
    print(text)


def write(results: dict[str, dict[str, Any]], options: dict[str, Any]) -> str:
    """Tables (science.md, returned) and record (science.json) of the experiments so far."""
    folder, text = options["output"], markdown(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "science.md").write_text(text, encoding="utf-8")
    record = {key: options[key] for key in ("short", "first", "simulator")} | {"results": results}
    (folder / "science.json").write_text(json.dumps(finite(record), indent=2) + "\n", encoding="utf-8")
    return text


if __name__ == "__main__":
    main()
