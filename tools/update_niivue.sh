#!/usr/bin/env bash
# Take the viewer of the report (NiiVue, BSD-2-Clause) from its npm package into the source tree. Needs npm.
set -euo pipefail
version=${1:-0.69.0}
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm pack --silent "@niivue/niivue@$version" && tar xzf ./*.tgz)
gzip -9 -n -c "$folder/package/dist/niivue.umd.js" > src/counterwarp/report/assets/niivue.umd.js.gz
echo "$version" > src/counterwarp/report/assets/niivue.version
