"""Which version, settings and inputs made an output, and how long it took."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from counterwarp import __version__


def code_hash() -> str:
    """SHA-256 of the installed package's Python sources and data files: what Nextflow cannot see by itself."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def stage_record(path: str | Path, stage: str, settings: Any = None, **inputs: Any) -> Iterator[dict[str, Any]]:
    """Write a stage's record (JSON) when the block ends without an error.

    The block may add keys to the record it is given (``status``, ``metrics``, ...). Always there: ``stage``,
    ``version``, ``settings``, ``inputs`` and ``seconds`` (wall clock).
    """
    start = time.perf_counter()
    record: dict[str, Any] = {
        "stage": stage,
        "version": __version__,
        "settings": asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else settings,
        "inputs": {name: str(value) for name, value in inputs.items()},
    }
    yield record
    record["seconds"] = round(time.perf_counter() - start, 3)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
