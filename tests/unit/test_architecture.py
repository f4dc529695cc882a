"""Rules of the house that a machine can check."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from counterwarp import __version__
from counterwarp.core.settings import SETTINGS
from counterwarp.stages.write_schema import schema

ROOT = Path(__file__).parents[2]
LAYERS = ["core", "networks", "brain", "cohort", "training", "explain", "report", "stages", "cli"]


def tracked(*patterns):
    command = ["git", "ls-files", *patterns]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return [ROOT / line for line in listing.stdout.splitlines()]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down_only(layer):
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    for path in (ROOT / "src" / "counterwarp" / layer).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if module and module.startswith("counterwarp."):
                assert module.split(".")[1] in allowed, f"{path.name} imports {module}"


def test_no_file_names_a_package_registry():
    host = re.compile(r"https?://[a-z0-9.-]*(py" + r"pi|python" + r"hosted|repo1?[.]maven|npm" + r"js)", re.IGNORECASE)
    for path in tracked():
        if path.suffix not in {".png", ".gz"} and path.is_file():
            assert not host.search(path.read_text(encoding="utf-8")), path


def test_schema_is_up_to_date():
    assert json.loads((ROOT / "nextflow_schema.json").read_text(encoding="utf-8")) == schema()


def test_every_nextflow_parameter_has_one_default_and_is_in_the_schema():
    block = re.search(
        r"^params \{(.*?)^\}", (ROOT / "nextflow.config").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    names = re.findall(r"^\s+(\w+)\s*=", block[1], re.MULTILINE)
    reserved = {"case", "control"}  # 'case' cannot be written in a config file
    assert set(names) | reserved == set(schema()["properties"])


def test_version_is_the_same_everywhere():
    config = (ROOT / "nextflow.config").read_text(encoding="utf-8")
    assert f"version         = '{__version__}'" in config
    assert f"'counterwarp:{__version__}'" in config


def test_every_setting_has_a_help_line():
    for group in SETTINGS.values():
        for field in group.__dataclass_fields__.values():
            assert len(field.metadata["help"]) > 10
