"""Files of many tasks: each task's outputs are a folder, so that no folder holds the files of the whole cohort."""

from __future__ import annotations

import os
from pathlib import Path


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

    def __str__(self) -> str:
        return str(self.folder)
