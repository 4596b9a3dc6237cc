#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Scans the programs for known vulnerabilities with govulncheck: hack/vulncheck.sh [ARGUMENT...]. It exits with 3 if it finds one in
# code that is called. Without the database of Go (vuln.go.dev) it scans nothing, says so, and exits with 0. GOVULNCHECK is another
# program to run.
set -euo pipefail
cd "$(dirname "$0")/.."

if (($# == 0)); then set -- ./...; fi
code=0
output=$("${GOVULNCHECK:-bin/govulncheck}" "$@" 2>&1) || code=$?
if ((code == 1)) && [[ $output == *"fetching vulnerabilities: "* ]]; then
  echo "skipped: vulnerabilities: the database cannot be reached: ${output#*fetching vulnerabilities: }" >&2
  exit 0
fi
printf '%s\n' "$output"
exit "$code"
