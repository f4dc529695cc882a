"""Does the image work? Every command's help, the templates, and a step of a network; no network needed."""

import subprocess
import tempfile

import torch

from counterwarp.cli.main import COMMANDS

for command in COMMANDS:
    subprocess.run(["counterwarp", command, "--help"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(["ps", "--version"], check=True)
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["counterwarp", "prepare-templates", "--resolution", "8", "--output", folder], check=True)
network = torch.nn.Conv3d(1, 2, 3)
network(torch.zeros(1, 1, 8, 8, 8)).sum().backward()
print(f"torch {torch.__version__}, GPU: {torch.cuda.is_available()}")
