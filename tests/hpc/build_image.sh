#!/usr/bin/env bash
# Build the image on a base that is made here, for machines without access to an image registry.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CONTAINERS_CONF=$PWD/tests/hpc/containers.conf
base=localhost/counterwarp-base:bookworm
if ! podman image exists "$base"; then
  archive=$(mktemp --suffix=.tar)
  trap 'rm -f "$archive"' EXIT
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,procps,ca-certificates \
    --aptopt='APT::Install-Recommends "false"' bookworm "$archive"
  podman import --quiet "$archive" "$base"
fi
make --no-print-directory container ENGINE=podman BASE_IMAGE="$base"
