"""Many files: of many tasks, each of which has a folder of outputs, and written while the next are computed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Self


class FileTree:
    """The files under a folder by their names, wherever they lie; links to folders are followed.

    ``tree / name`` is the file's path. Of a name that no file has it is the path at the top of the folder, so that
    whoever reads it names what is missing.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._paths = {
            name: Path(base) / name for base, _, names in os.walk(self.folder, followlinks=True) for name in names
        }

    def __truediv__(self, name: str) -> Path:
        return self._paths.get(name, self.folder / name)

    def matching(self, pattern: str) -> list[Path]:
        """Paths of the files whose names match a shell pattern, sorted by name."""
        return [self._paths[name] for name in sorted(self._paths) if fnmatch(name, pattern)]

    def __str__(self) -> str:
        return str(self.folder)


class BackgroundWriter:
    """Threads that write files while the caller computes on (compression does not hold up Python).

    An error of a thread is raised in the caller: by one of the next calls, at the latest when the block ends.

    Parameters
    ----------
    threads : int
    waiting : int
        Files that may wait to be written; a caller that is faster than the disk waits with them.
    """

    def __init__(self, threads: int = 2, waiting: int = 16):
        self._pool, self._waiting = ThreadPoolExecutor(threads), waiting
        self._files: deque[Future] = deque()

    def __enter__(self) -> Self:
        return self

    def __call__(self, save: Callable, *arguments: Any) -> None:
        """Call ``save(*arguments)`` in a thread; what it is given must not change any more."""
        while len(self._files) >= self._waiting or (self._files and self._files[0].done()):
            self._files.popleft().result()
        self._files.append(self._pool.submit(save, *arguments))

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            for file in self._files:
                file.result()
