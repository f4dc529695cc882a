"""Checkpoints of a training: written now and then and when the process is told to stop, found again by what made them.

A checkpoint belongs to one task: its name and content carry a hash of the inputs, settings and code, so that a changed
parameter never picks up a stale one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from counterwarp.core.errors import InputError
from counterwarp.core.provenance import code_hashes

log = logging.getLogger(__name__)
SECONDS_BETWEEN = 60.0
STOPPED = 128 + signal.SIGTERM  # exit code of a process that ended because of SIGTERM


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def task_checkpoint(folder: Path | None, stage: str, cohort: Path, settings: Any, **more: Any) -> Checkpoint:
    """Checkpoint of a training task, identified by code, scans, settings and whatever else makes its result."""
    if folder is None:
        return Checkpoint(None, stage=stage)
    scans = {name: file_hash(cohort / name) for name in ("images.npy", "index.csv")}
    return Checkpoint(folder, stage=stage, code=code_hashes()[stage], scans=scans, settings=asdict(settings), **more)


class Checkpoint:
    """The one checkpoint of a training task.

    Parameters
    ----------
    folder : Path or None
        Shared by all tasks and outside of their own folders; None: nothing is kept.
    **identity
        What makes the result: inputs as hashes, settings, seed, code. Must be JSON.
    """

    def __init__(self, folder: Path | None, **identity: Any):
        self._folder, self._identity = folder, identity
        self.key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.path = folder / f"{identity['stage']}_{self.key[:20]}.pt" if folder else None
        self._written = time.monotonic()
        self._stop = False

    def part(self, **more: Any) -> Checkpoint:
        """The checkpoint of one of the trainings that the task consists of."""
        return Checkpoint(self._folder, **self._identity, **more)

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last, or None.

        Raises
        ------
        InputError
            If the file is damaged or belongs to another task.
        """
        if self.path is None or not self.path.is_file():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            key, state = content["key"], content["state"]
        except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise InputError(
                f"{self.path}: expected a checkpoint, but it cannot be read ({error}). Delete it to start again."
            ) from error
        if key != self.key:
            raise InputError(f"{self.path}: this checkpoint was made by another task. Delete it to start again.")
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint at once: a process that dies while writing leaves the one before."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(f".{os.getpid()}.part")
        torch.save({"key": self.key, "state": state}, part)
        part.replace(self.path)
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Is it time to save, because the last one is old?"""
        return self.path is not None and time.monotonic() - self._written > SECONDS_BETWEEN

    @property
    def stopped(self) -> bool:
        """Has SIGTERM come?"""
        return self._stop

    def leave(self, first: bool) -> None:
        """End the process because one of the training's processes was stopped; call it after saving.

        Raises
        ------
        SystemExit
            Of the first process, with the code that Nextflow's profiles retry.
        """
        log.warning("stopped by SIGTERM; the next attempt continues from here")
        raise SystemExit(STOPPED if first else 0)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGTERM (time limit, preemption, cancel) is remembered until the step is over, if there is where to save."""
        if self.path is None:
            yield
            return

        def remember(*_: Any) -> None:
            self._stop = True

        before = signal.signal(signal.SIGTERM, remember)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def remove(self) -> None:
        """Delete the checkpoint of a task that is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
