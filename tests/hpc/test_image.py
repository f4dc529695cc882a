"""The container image: whose it is, what it lacks, and that it serves a user whom it does not know."""

import json
import subprocess

import pytest

from counterwarp import __version__
from launcher import ROOT

pytestmark = pytest.mark.hpc
STRANGER = 12345


def output(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", check=True).stdout.strip()


def test_labels_name_version_and_revision(image):
    labels = json.loads(output("podman", "image", "inspect", "--format", "{{json .Labels}}", image))
    prefix = "org.opencontainers.image."
    assert labels[prefix + "version"] == __version__
    assert labels[prefix + "revision"] == output("git", "-C", ROOT, "rev-parse", "HEAD")


def test_no_compilers_installers_or_caches_are_in_it(image):
    look = "! command -v gcc cc make pip uv mypy && ! ls -d /root/.cache/* /tmp/* /var/lib/apt/lists/*_Packages"
    output("podman", "run", "--rm", "--network=none", "--user=0", image, "sh", "-c", look)


def test_a_user_without_name_home_and_network_works_in_it(image, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    folder.chmod(0o777)
    engine = ("podman", "run", "--rm", "--network=none", f"--user={STRANGER}:{STRANGER}", "--read-only")
    command = ("counterwarp", "prepare-templates", "--resolution", "8", "--output", "/out/templates")
    output(*engine, "-v", f"{folder}:/out", image, *command)
    made = list((folder / "templates").iterdir())
    assert made and {path.stat().st_uid for path in made} == {STRANGER}
