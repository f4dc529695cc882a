#!/usr/bin/env bash
# Install what the tests of this folder need, where that is possible (root on Debian or Ubuntu).
# Where it is not, they are skipped and say why.
set -euo pipefail
commands=(slurmctld munged podman runc ch-run mmdebstrap)
packages=(slurm-wlm munge podman runc charliecloud mmdebstrap)
PATH=$PATH:/usr/sbin
missing=()
for i in "${!commands[@]}"; do
  command -v "${commands[$i]}" >/dev/null || missing+=("${packages[$i]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "tests/hpc: ${missing[*]} not installed (needs root and apt-get)" >&2
  exit 0
fi
echo "tests/hpc: installing ${missing[*]}"
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
  || echo "tests/hpc: could not install ${missing[*]}" >&2
