"""Fetch the Nextflow runtime's jars without a Maven installation, each checked against its pinned SHA-256.

usage: fetch_nextflow.py LOCK FOLDER     (needs jgo, see jgo.lock; MAVEN_MIRROR names a site's mirror)
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from jgo.maven import MavenContext


def fetch(lock: Path, folder: Path) -> None:
    """Download every jar of the lock (lines "group:artifact:version sha256") into the folder."""
    mirror = os.environ.get("MAVEN_MIRROR")
    maven = MavenContext(
        repo_cache=folder / "repository", remote_repos={"mirror": mirror} if mirror else None, timeout=60
    )
    for line in lock.read_text(encoding="utf-8").splitlines():
        coordinate, expected = line.split()
        group, name, version = coordinate.split(":")
        jar = maven.project(group, name).at_version(version).artifact().resolve()
        found = hashlib.sha256(jar.read_bytes()).hexdigest()
        if found != expected:
            sys.exit(f"setup: {jar.name}: expected SHA-256 {expected}, got {found}. Check the mirror, or try again.")
        shutil.copy(jar, folder / jar.name)
    shutil.rmtree(folder / "repository")


if __name__ == "__main__":
    fetch(Path(sys.argv[1]), Path(sys.argv[2]))
