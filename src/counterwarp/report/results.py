"""What the stages wrote, found by file name: in a published results tree or in folders that a task was given."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from counterwarp.core import layout
from counterwarp.core.errors import InputError

IDENTIFIERS = {"participant_id": str, "session_id": str, "scan_id": str, "group": str}


class Results:
    """The files under some folders; links to files and folders are followed.

    Parameters
    ----------
    folders : of a run, or of a task's inputs
    target : of several case groups, the one whose files are wanted; those of the others are left out

    Raises
    ------
    InputError
        If there are folders of several case groups, and none of the target.
    """

    def __init__(self, folders: Sequence[Path], target: str = ""):
        self.folders = tuple(folders)
        targets = {path.name for folder in folders for path in folder.glob(layout.target_folder("*"))}
        if targets and layout.target_folder(target) not in targets:
            known = ", ".join(sorted(name.removeprefix(layout.target_folder("")) for name in targets))
            raise InputError(f"--target '{target}': expected one of {known}, the case groups of this run. Name one.")
        others = targets - {layout.target_folder(target)}
        found = {
            (Path(base) / name).resolve(): Path(base) / name
            for folder in folders
            for base, _, names in os.walk(folder, followlinks=True)
            if others.isdisjoint(Path(base).relative_to(folder).parts)
            for name in names
        }
        self._paths = sorted(found.values())
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self._paths:
            self._by_name[path.name].append(path)

    def all(self, pattern: str) -> list[Path]:
        """Paths whose file name is a given one or matches a shell pattern, sorted."""
        if not set(pattern) & set("*?["):
            return self._by_name.get(pattern, [])
        return [path for path in self._paths if fnmatch(path.name, pattern)]

    def one(self, name: str) -> Path:
        """The path of a file that must exist once.

        Raises
        ------
        InputError
            If it is missing or there are several.
        """
        paths = self.all(name)
        if len(paths) != 1:
            places = ", ".join(str(folder) for folder in self.folders)
            found = "none" if not paths else ", ".join(str(path) for path in paths)
            raise InputError(f"{name}: expected one such file under {places}, found {found}. Give one whole run.")
        return paths[0]

    def table(self, pattern: str) -> pd.DataFrame:
        """All CSV tables of a name pattern, one below the other; a row that two copies of a file hold counts once.

        Raises
        ------
        InputError
            If there is none.
        """
        paths = self.all(pattern)
        if not paths:
            places = ", ".join(str(folder) for folder in self.folders)
            raise InputError(f"{pattern}: expected at least one such table under {places}, found none.")
        tables = pd.concat([pd.read_csv(path, dtype=IDENTIFIERS) for path in paths], ignore_index=True)
        return tables.drop_duplicates(ignore_index=True)

    def records(self) -> list[dict[str, Any]]:
        """The stages' records (see ``core.provenance``), copies counted once; sidecars of images are not among them."""
        names = {path.name for path in self._paths}
        candidates = [path for path in self.all("*.json") if f"{path.stem}.nii.gz" not in names]
        contents = [json.loads(text) for text in dict.fromkeys(path.read_text(encoding="utf-8") for path in candidates)]
        return [content for content in contents if isinstance(content, dict) and "stage" in content]
