"""The parameter schema of the pipeline, generated from the settings."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from counterwarp.core.parameters import INSTEAD, NOT_IN_PIPELINE, PARAMETERS
from counterwarp.core.settings import SETTINGS

JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def schema() -> dict[str, Any]:
    """Every parameter of the pipeline: Nextflow's own and, as objects, the groups of scientific settings."""
    groups = {name: _group(name, settings) for name, settings in SETTINGS.items() if name not in NOT_IN_PIPELINE}
    return {
        "$schema": "draft-07",
        "title": "counterwarp parameters",
        "type": "object",
        "properties": {**PARAMETERS, **groups},
        "required": ["input", "outdir"],
    }


def _group(name: str, settings: type) -> dict[str, Any]:
    hints = get_type_hints(settings)
    meaning = (settings.__doc__ or "").splitlines()[0]
    return {
        "type": ["object", "string"] if name in INSTEAD else "object",
        "description": f"{meaning} {INSTEAD[name]}" if name in INSTEAD else meaning,
        "properties": {
            f.name: {"type": JSON_TYPES[hints[f.name]], "default": f.default, "description": f.metadata["help"]}
            | ({"enum": list(f.metadata["choices"])} if "choices" in f.metadata else {})
            for f in fields(settings)
        },
    }


def write_schema(output: Path) -> None:
    """Write the schema as JSON."""
    output.write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
