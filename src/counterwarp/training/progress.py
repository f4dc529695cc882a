"""What is seen of a training while it runs: a bar on a terminal, lines in a log, a table, TensorBoard if installed."""

from __future__ import annotations

import csv
import logging
import math
import resource
import time
from contextlib import ExitStack
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
LOG_LINES = 20
GIB = 2**30


def peak_memory() -> str:
    """Largest memory that this process held, and that its GPU held for it."""
    memory = f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB:.1f} GiB"  # KiB on Linux
    if torch.cuda.is_initialized():
        memory += f", GPU {torch.cuda.max_memory_allocated() / GIB:.1f} GiB"
    return memory


class TrainingProgress:
    """Shows a training of ``steps`` steps, of which ``rows`` are done already, and writes its history.

    Parameters
    ----------
    history : Path or None
        CSV, a row per step, written as training goes on; a folder ``tensorboard`` beside it, if TensorBoard is
        installed. None (all processes but the first): nothing is shown or written.
    rows : list of dict
        Named losses of every step that is done; the training appends to it.
    """

    def __init__(self, history: Path | None, steps: int, rows: list[dict[str, float]]):
        self.history, self.steps, self.rows = history, steps, rows
        self._done_before, self._scans, self._begin = len(rows), 0, time.monotonic()
        self._open = ExitStack()
        self._table: Any = None
        self._board: Any = None
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self.history is None:
            return self
        self.history.parent.mkdir(parents=True, exist_ok=True)
        self._table = self._open.enter_context(self.history.open("w", newline="", buffering=1, encoding="utf-8"))
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            folder = str(self.history.parent / "tensorboard")
            self._board = self._open.enter_context(SummaryWriter(folder, purge_step=len(self.rows)))
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = self._open.enter_context(Progress(*columns, console=console))
            self._bar.add_task("", total=self.steps, completed=len(self.rows))
        for number in range(len(self.rows)):
            self._write(number)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def update(self, scans: int) -> None:
        """Show the step that was done last, of so many scans."""
        if self.history is None:
            return
        done = len(self.rows)
        self._scans += scans
        self._write(done - 1)
        if self._board is not None:
            for name, value in self._known().items():
                self._board.add_scalar(name, value, done)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, description=self._line())
        elif done == self.steps or (done - 1) % max(1, self.steps // LOG_LINES) == 0:
            seconds = time.monotonic() - self._begin
            left = timedelta(seconds=round((self.steps - done) * seconds / (done - self._done_before)))
            log.info("step %d/%d  %s  %s left", done, self.steps, self._line(), left)

    def _known(self) -> dict[str, float]:
        """What the last step measured."""
        return {name: value for name, value in self.rows[-1].items() if not math.isnan(value)}

    def _line(self) -> str:
        """Losses, speed and memory."""
        losses = "  ".join(f"{name} {value:.4g}" for name, value in self._known().items())
        speed = self._scans / max(time.monotonic() - self._begin, 1e-9)
        return f"{losses}  {speed:.1f} scans/s  {peak_memory()}"

    def _write(self, number: int) -> None:
        """A line of the table; the first names the columns."""
        writer = csv.writer(self._table, lineterminator="\n")
        if number == 0:
            writer.writerow(["step", *self.rows[0]])
        writer.writerow([number, *(f"{value:.6g}" for value in self.rows[number].values())])
