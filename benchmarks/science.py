"""Does the simulator move what the disease moves? Held-out people, truths planted or measured, saliency beside it.

    python benchmarks/science.py four-gaussians|four-gaussians-3d|resized-squares|atrophy|real-heads|all [--seeds 3]
        [--first 1] [--short] [--real COHORT RESULTS LABELS] [--methods NAMES] [--simulator NAME=VALUE ...]
        [--jobs CPUS] [--output DIR]

four-gaussians     2-D, 32 x 32: two of four Gaussians are larger in cases
four-gaussians-3d  the same in 3-D, 32 x 32 x 32
resized-squares    2-D, 224 x 224 (--short: 112 x 112): the toy of DeFI-GAN; truth and score: differences of intensity;
                   beside it what could be said at best, as nobody can know to which side a square was resized
atrophy            3-D brains on the network grid, 4 mm (--short: 8 mm): hippocampus and amygdala shrink, ventricles
                   grow; beside it also deformation-based morphometry (SyN) of the whole cohort
real-heads         older and younger people, all folds (--short: one), explained by a logistic regression, beside the
                   volumes that segmentations measured in the same people; --real: see measured_folds.py

Every seed makes a cohort of its own (real heads: networks), trains both networks outside a fold and explains that fold.
Seeds and data sets are run side by side, each on one CPU. Printed and written to DIR as science.json and science.md:
what is to be reached beside what was found, and all measures of every data set, medians over the seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import goals
from common import changed, side_by_side
from counterwarp import __version__
from counterwarp.explain.evaluation import finite
from experiments import Measured, Planted, planted, real_heads
from recovery import OURS, TRUTH

TITLES = {"auc": "area under the ROC curve", "spearman": "rank correlation with the measured difference"}


def experiments(options: argparse.Namespace) -> dict[str, Planted | Measured]:
    """What was asked for by name, from the quickest to the longest."""
    found: dict[str, Planted | Measured] = {**planted(options.short)}
    if options.real:
        found[goals.REAL] = real_heads(*options.real, short=options.short)
    if options.experiment != "all":
        if options.experiment not in found:
            raise SystemExit(f"{options.experiment} needs --real COHORT RESULTS LABELS, see measured_folds.py")
        found = {options.experiment: found[options.experiment]}
    for name, experiment in found.items():
        experiment = replace(experiment, simulator=changed(experiment.simulator, "--simulator", options.simulator))
        found[name] = experiment if options.methods is None else experiment.beside(options.methods)
    return found


def run(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """One seed of an experiment, with its seconds."""
    begin = time.monotonic()
    return experiments(options)[name].run(seed) | {"seconds": time.monotonic() - begin}


def median(found: list[Any]) -> Any:
    """Median over the seeds of every number of a nested record."""
    if isinstance(found[0], dict):
        return {key: median([f[key] for f in found]) for key in found[0]}
    return float(np.nanmedian(found)) if np.isfinite(found).any() else float("nan")


def markdown(results: dict[str, dict[str, Any]], found: list[dict[str, str]], short: bool) -> str:
    """What was found beside the goals, and the results of every experiment, as tables."""
    lines = ["## Goals" + (", which are those of the full form: this is the short one" if short else ""), ""]
    lines += [_row(found[0]), "|---" * len(found[0]) + "|", *(_row(row.values()) for row in found), ""]
    for name, result in results.items():
        lines += [f"## {name}, medians of {result['seeds']} seeds", "", *_methods(result), *_regions(result)]
        numbers = ", ".join(
            f"{TITLES.get(key, key.replace('_', ' '))} {v:.4g}"
            for key, v in result.items()
            if key not in ("methods", "regions", "seeds")
        )
        lines += [numbers[0].upper() + numbers[1:], ""]
    return "\n".join(lines)


def _methods(result: dict[str, Any]) -> Iterator[str]:
    """Every method's agreement with the truth, the best for groups first."""
    if "methods" not in result:
        return
    columns = list(result["methods"][OURS])
    yield _row(["method", *(column.replace("_", " ") for column in columns)])
    yield "|---" * (1 + len(columns)) + "|"
    for method, values in sorted(result["methods"].items(), key=lambda item: -item[1]["group signed_ncc"]):
        yield _row([f"**{method}**" if method == OURS else method, *(_number(values[column]) for column in columns)])
    yield ""


def _regions(result: dict[str, Any]) -> Iterator[str]:
    """Volume change of the planted regions beside the true one."""
    if not result.get("regions"):
        return
    yield from (_row(["region", "volume change, ours", "true"]), "|---" * 3 + "|")
    for region, change in result["regions"].items():
        yield _row([region.replace("_", " "), f"{change[OURS]:+.0f} %", f"{change[TRUTH]:+.0f} %"])
    yield ""


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def write(each: dict[str, dict[int, Any]], options: argparse.Namespace, seconds: float) -> str:
    """Tables (science.md, returned) and record (science.json) of what is done; ``each``: by experiment and seed."""
    results = {name: median(list(found.values())) | {"seeds": len(found)} for name, found in each.items() if found}
    found = goals.rows(results, goals.NAMES if options.experiment == "all" else [options.experiment])
    folder, text = options.output, markdown(results, found, options.short)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "science.md").write_text(text, encoding="utf-8")
    used = ("short", "first", "simulator", "methods", "jobs")
    record = {"version": __version__} | {key: getattr(options, key) for key in used} | {
        "real": [str(path) for path in options.real or ()], "seconds": seconds,
        "goals": found, "results": results, "each": each,
    }  # fmt: skip
    (folder / "science.json").write_text(json.dumps(finite(record), indent=2) + "\n", encoding="utf-8")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=[*planted(short=True), goals.REAL, "all"])
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--real", nargs=3, type=Path, metavar=("COHORT", "RESULTS", "LABELS"))
    parser.add_argument(
        "--simulator", nargs="*", default=[], metavar="NAME=VALUE",
        help="settings of the simulator instead of the experiment's, e.g. critic=0 or preset=ipmi2021 steps=500",
    )  # fmt: skip
    parser.add_argument(
        "--methods",
        help="beside ours, by commas, instead of all: methods of saliency; morphometry. '' for none",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many are run side by side")
    parser.add_argument("--output", type=Path, default=Path("science"))
    options = parser.parse_args()
    begin = time.monotonic()
    each: dict[str, dict[int, Any]] = {name: {} for name in experiments(options)}
    seeds = range(options.first, options.first + options.seeds)
    tasks = [(options, name, seed) for name in reversed(each) for seed in seeds]  # the longest are begun first
    for (_, name, seed), found in side_by_side(run, tasks, options.jobs):
        each[name][seed] = found
        print(f"{name}, seed {seed}: {found['seconds']:.0f} s", file=sys.stderr, flush=True)
        text = write(each, options, time.monotonic() - begin)  # what there is, should the rest be broken off
    print(text)


if __name__ == "__main__":
    main()
