#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Writes the deepcopy functions, the CRD, and the reference of the commands. With --check, writes nothing and fails if a file
# would change.
set -euo pipefail
cd "$(dirname "$0")/.."

api=apis/upgrade/v1alpha1
deepcopy=$api crd=config/crd reference=docs/reference
if [[ ${1:-} == --check ]]; then
  deepcopy=$(mktemp -d)
  trap 'rm -rf "$deepcopy"' EXIT
  crd=$deepcopy/crd reference=$deepcopy/reference
fi
bin/controller-gen object:headerFile=hack/boilerplate.go.txt crd paths="./$api" \
  output:object:dir="$deepcopy" output:crd:dir="$crd"
go run ./hack/reference "$reference"
if [[ ${1:-} == --check ]]; then
  same=true
  diff -u "$api/zz_generated.deepcopy.go" "$deepcopy/zz_generated.deepcopy.go" || same=false
  diff -ru config/crd "$crd" || same=false
  for generated in "$reference"/*; do
    diff -ru "docs/reference/${generated##*/}" "$generated" || same=false
  done
  $same || { echo "generated files are not up to date: run make generate" >&2; exit 1; }
fi
