"""The losses of a simulator's training that was stopped twice and killed once, on those of one that was not.

    python benchmarks/resume_curve.py [--steps 120] [--side 32] [--figure docs/images/resume_curve.png]

SIGTERM (as of a time limit) after a quarter and at half of the steps, SIGKILL (as of lack of memory) after three
quarters; each attempt is the same command again. Ends with an error if a weight differs by a single bit.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import torch

from common import show, write_cohort
from counterwarp.training.checkpoint import STOPPED

SIGNALS = (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL)
COMMAND = Path(sys.executable).with_name("counterwarp")


def start(kind: str, cohort: Path, output: Path, *options: object) -> subprocess.Popen:
    """One attempt."""
    common = ("--cohort", cohort, "--fold", 0, "--seed", 1, "--device", "cpu", "--output", output)
    return subprocess.Popen(
        [str(part) for part in (COMMAND, f"train-{kind}", *common, *options)], stderr=subprocess.DEVNULL
    )


def steps_done(history: Path) -> int:
    """Rows that a running training has written."""
    return max(0, history.read_text(encoding="utf-8").count("\n") - 1) if history.exists() else 0


def attempts(cohort: Path, output: Path, steps: int, options: tuple) -> list[pd.DataFrame]:
    """Train with interruptions; the rows of the history that every attempt added itself."""
    history, checkpoints, found, begin = output / "history.csv", output.parent / "checkpoints", [], 0
    for number, how in enumerate((*SIGNALS, None), start=1):
        process = start("simulator", cohort, output, "--checkpoints", checkpoints, *options)
        while how and process.poll() is None and steps_done(history) < number * steps / 4:
            time.sleep(0.05)
        if how:
            process.send_signal(how)
        code = process.wait()
        expected = {signal.SIGTERM: STOPPED, signal.SIGKILL: -signal.SIGKILL, None: 0}[how]
        if code != expected:
            raise RuntimeError(f"attempt {number} ended with {code}, expected {expected}")
        found.append(pd.read_csv(history).iloc[begin:])
        if how:
            history.unlink()
            (saved,) = checkpoints.iterdir()
            begin = len(torch.load(saved, weights_only=True)["state"]["rows"])
    return found


def draw(whole: pd.DataFrame, parts: list[pd.DataFrame], figure: Path) -> None:
    """Both curves; every attempt's own steps in its own colour."""
    _, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    axes.plot(whole["step"], whole["total"], color="0.8", linewidth=7, label="never stopped")
    for number, part in enumerate(parts, start=1):
        axes.plot(part["step"], part["total"], linewidth=2.5 - 0.4 * number, label=f"attempt {number}")
    for how, part in zip(SIGNALS, parts, strict=False):
        axes.axvline(part["step"].iloc[-1] + 0.5, color="0.4", linewidth=0.8, linestyle=":")
        axes.text(part["step"].iloc[-1] + 0.5, axes.get_ylim()[1], f" {how.name}", va="top", fontsize=8)
    axes.set(xlabel="step", ylabel="loss of the simulator")
    axes.legend(frameon=False)
    plt.savefig(figure, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--figure", type=Path, default=Path("resume_curve.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cohort, folder = write_cohort(Path(name) / "cohort", 40, options.side), Path(name)
        start("classifier", cohort, folder / "classifier", "--epochs", 8).wait()
        record = folder / "classifier" / "classifier.json"
        gap = json.loads(record.read_text(encoding="utf-8"))["logit_gap"]
        training = ("--classifier", folder / "classifier", "--steps", options.steps)
        if start("simulator", cohort, folder / "whole", *training).wait():
            raise RuntimeError("the uninterrupted training failed")
        whole = pd.read_csv(folder / "whole" / "history.csv")
        parts = attempts(cohort, folder / "parts", options.steps, training)
        one, two = ((folder / kind / "simulator.safetensors").read_bytes() for kind in ("whole", "parts"))
        same_history = pd.read_csv(folder / "parts" / "history.csv").equals(whole)
        draw(whole, parts, options.figure)
    rows = [
        {"attempt": number, "first step": part["step"].iloc[0], "last step": part["step"].iloc[-1], "ended by": how}
        for number, (how, part) in enumerate(
            zip([*(how.name for how in SIGNALS), "itself"], parts, strict=True), start=1
        )
    ]
    show(vars(options) | {"logit_gap": gap, "weights_equal": one == two, "history_equal": same_history}, rows)
    if one != two:
        raise SystemExit("the weights differ")


if __name__ == "__main__":
    main()
