#!/usr/bin/env bash
# Starts the Nextflow runtime that tools/setup.sh resolved with Maven into .cache/nextflow-jars.
# Without the --add-opens list Nextflow runs, but -resume silently caches nothing.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
opens=()
for package in java.lang java.io java.net java.nio java.nio.file.spi java.util java.util.concurrent \
  java.util.concurrent.locks java.util.regex sun.nio.ch sun.nio.fs sun.net.www.protocol.http \
  sun.net.www.protocol.https sun.net.www.protocol.ftp sun.net.www.protocol.file jdk.internal.misc jdk.internal.vm; do
  opens+=("--add-opens=java.base/$package=ALL-UNNAMED")
done
export NXF_OFFLINE=${NXF_OFFLINE:-true} NXF_HOME=${NXF_HOME:-$root/.cache/nextflow}
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -XX:TieredStopAtLevel=1 "${opens[@]}" ${NXF_OPTS:-} -cp "$root/.cache/nextflow-jars/*" nextflow.cli.Launcher "$@"
