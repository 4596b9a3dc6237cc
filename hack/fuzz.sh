#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Runs each fuzz target of the tree for a duration: hack/fuzz.sh 10m. An input that fails is written to testdata/fuzz of the
# package. Commit it: go test checks it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=$(grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' apis cmd controllers hack | sort)
while IFS=: read -r file declaration; do
  target=${declaration#func }
  echo "$target, $(dirname "$file"): $1"
  go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$1"
done <<<"$targets"
