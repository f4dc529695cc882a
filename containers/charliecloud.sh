#!/usr/bin/env bash
# Flatten an image of podman into a folder for Charliecloud: containers/charliecloud.sh IMAGE FOLDER
# Then: nextflow run main.nf -profile charliecloud --container /absolute/path/of/FOLDER ...
set -euo pipefail
image=${1:?image}
folder=${2:?folder}
[ ! -e "$folder" ] || { echo "$folder: exists already" >&2; exit 1; }
mkdir -p "$folder"
container=$(podman create --pull=never "$image" true)
trap 'podman rm --force "$container" >/dev/null' EXIT
podman export "$container" | tar -x -C "$folder" --exclude='dev/*'
# the export has no environment; ch-run --set-env reads this file
mkdir -p "$folder"/{ch,mnt,dev,proc,sys,tmp,home,root}
podman image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$image" | sed '/^$/d' > "$folder/ch/environment"
podman image inspect --format 'sha256:{{.Id}}' "$image" > "$folder/ch/digest"
# ch-run mounts these from the host
for file in etc/passwd etc/group etc/hosts etc/resolv.conf; do [ -e "$folder/$file" ] || : > "$folder/$file"; done
