#!/usr/bin/env bash
# Set up the clone: .venv from hashed pins, the package, and a Nextflow runtime. Quick when nothing changed.
# Writes only inside the clone (.venv, .cache) and pip's and uv's download caches.
set -euo pipefail
cd "$(dirname "$0")/.."
MINIMUM_NEXTFLOW=25.04

# a site's own certificates, where pip, uv and requests would take those they bring along
bundle=/etc/ssl/certs/ca-certificates.crt
if [ -f "$bundle" ]; then
  export SSL_CERT_FILE=${SSL_CERT_FILE:-$bundle}
  export PIP_CERT=${PIP_CERT:-$SSL_CERT_FILE} REQUESTS_CA_BUNDLE=${REQUESTS_CA_BUNDLE:-$SSL_CERT_FILE}
fi

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

find_python() {
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
      && { command -v "$candidate"; return; }
  done
  fail "no Python 3.11 to 3.13 found. Install it (Debian: apt-get install python3 python3-venv) or set PYTHON=/path/to/python3."
}

install_python_packages() {
  local stamp=.venv/.installed python
  if [ -f "$stamp" ] && cmp -s requirements.lock "$stamp"; then return; fi
  python=$(find_python)
  "$python" -c 'import ensurepip' 2>/dev/null || fail "$python has no venv module. Install it (Debian: apt-get install python3-venv)."
  echo "setup: installing Python packages into .venv (a few minutes the first time)"
  rm -f "$stamp"
  "$python" -m venv .venv
  # uv, itself from the pins, installs the rest many times faster than pip
  awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements.lock > .venv/uv.lock
  .venv/bin/pip install --quiet --require-hashes --no-deps -r .venv/uv.lock
  UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
  UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
  cp requirements.lock "$stamp"
}

check_java() {
  local java=${JAVA_HOME:+$JAVA_HOME/bin/}java major
  command -v "$java" >/dev/null 2>&1 || fail "no Java found; Nextflow needs version 17 or later. Install it (Debian: apt-get install openjdk-17-jre-headless)."
  major=$("$java" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ] || fail "$java is version ${major:-unknown}; Nextflow needs 17 or later. Install it (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME."
}

user_nextflow() {
  local found version
  found=$(PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$PWD/.venv/bin" | paste -sd:) command -v nextflow) || return 1
  version=$("$found" -version 2>/dev/null | sed -nE 's/.*version ([0-9]+\.[0-9]+).*/\1/p' | head -n 1)
  [ "$(printf '%s\n%s\n' "$MINIMUM_NEXTFLOW" "${version:-0}" | sort -V | head -n 1)" = "$MINIMUM_NEXTFLOW" ] || return 1
  echo "$found"
}

fetch_jars() {   # into folder $1; Maven, where there is one, knows the site's mirrors
  if command -v mvn >/dev/null 2>&1; then
    mvn -q -B -f tools/nextflow-pom.xml -Dmaven.repo.local="$PWD/.cache/maven" \
      dependency:copy-dependencies -DoutputDirectory="$1" -DincludeScope=runtime
  else
    .venv/bin/uv pip install --quiet --python .venv/bin/python --target .cache/jgo --require-hashes -r tools/jgo.lock
    PYTHONPATH=.cache/jgo .venv/bin/python tools/fetch_nextflow.py tools/nextflow.lock "$1"
  fi
}

install_nextflow() {
  local jars=$PWD/.cache/nextflow-jars found
  if [ -e .venv/bin/nextflow ] && { [ -L .venv/bin/nextflow ] || cmp -s tools/nextflow-pom.xml "$jars/.installed"; }; then
    [ -L .venv/bin/nextflow ] || install -m 755 tools/nextflow.sh .venv/bin/nextflow
    return
  fi
  if found=$(user_nextflow); then ln -sf "$found" .venv/bin/nextflow; return; fi
  echo "setup: fetching a Nextflow runtime"
  rm -rf "$jars" && mkdir -p "$jars"
  fetch_jars "$jars"
  rm -f .venv/bin/nextflow
  install -m 755 tools/nextflow.sh .venv/bin/nextflow
  cp tools/nextflow-pom.xml "$jars/.installed"
}

check_java
install_python_packages
install_nextflow
