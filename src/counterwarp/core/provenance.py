"""Which version, settings and inputs made an output, and how long it took."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from counterwarp import __version__

PACKAGE = Path(__file__).parents[1]


def code_hashes() -> dict[str, str]:
    """SHA-256 of the code behind every stage: its command, all modules of this package that they import, directly or
    not, the data files beside those, and the versions of the packages that this one requires."""
    required = (re.split(r"[^\w.-]", requirement)[0] for requirement in requires("counterwarp") or ())
    versions = "".join(sorted(f"{name}=={version(name)}\n" for name in required))
    stages = sorted(path.stem for path in (PACKAGE / "stages").glob("[a-z]*.py"))
    return {stage: _hash(_sources(PACKAGE / "cli" / f"{stage}.py"), versions) for stage in stages}


def _hash(paths: set[Path], versions: str) -> str:
    digest = hashlib.sha256(versions.encode())
    for path in sorted(paths):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(start: Path) -> set[Path]:
    """A module, what it imports from this package, and what those import; with data files of the same folders."""
    found, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    data = {file for path in found if path.parent != PACKAGE for file in path.parent.rglob("*") if file.is_file()}
    return found | {file for file in data if file.suffix not in (".py", ".pyc")}


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Files of this package that a module's import statements name, wherever in the module they stand."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    stems = [PACKAGE.parent / name.replace(".", "/") for name in names if name.partition(".")[0] == PACKAGE.name]
    candidates = [file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py")]
    return tuple(file for file in candidates if file.is_file())


@contextmanager
def stage_record(path: str | Path, stage: str, settings: Any = None, **inputs: Any) -> Iterator[dict[str, Any]]:
    """Write a stage's record (JSON) when the block ends without an error.

    The block may add keys to the record it is given (``status``, ``metrics``, ...). Always there: ``stage``,
    ``version``, ``code`` (in the pipeline: hash of the stage's code, or the container image with its digest),
    ``gpus`` (those that a scheduler gave), ``settings``, ``inputs`` (less empty words) and ``seconds`` (wall clock).
    """
    start = time.perf_counter()
    record: dict[str, Any] = {
        "stage": stage,
        "version": __version__,
        "code": os.environ.get("COUNTERWARP_CODE"),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "settings": asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else settings,
        "inputs": {name: str(value) for name, value in inputs.items() if value != ""},
    }
    yield record
    record["seconds"] = round(time.perf_counter() - start, 3)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
