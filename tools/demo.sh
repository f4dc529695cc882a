#!/usr/bin/env bash
# The whole pipeline on an embedded cohort: whole heads with a planted (strong) atrophy. Results in ./results.
set -euo pipefail
cd "$(dirname "$0")/.."
PARTICIPANTS=${PARTICIPANTS:-42}

# truth.json is the last file that simulate-cohort writes
[ -f demo/truth/truth.json ] || counterwarp simulate-cohort --participants "$PARTICIPANTS" --seed 1 --jobs "$(nproc)" --output demo
nextflow run main.nf -profile demo -resume -work-dir work --input demo/cohort.csv --truth demo/truth --outdir results
printf '\nReport: %s\n' "$PWD/results/report.html"
cat results/evaluation.json
