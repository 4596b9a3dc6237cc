#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the OCI image of upgrade-controller and upgradectl, as an OCI layout. Two builds of one commit give the same bytes.
#
#   hack/image.sh [FOLDER [ARCHITECTURE...]]
#
# The default is bin/image, for amd64 and arm64. The label of the version is that of the programs, which Go reads from Git. VERSION,
# such as v0.2.0, is for programs without one: Go reads none in a linked worktree, or without Git.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1:-bin/image}")
shift || true
architectures=("$@")
(($#)) || architectures=(amd64 arm64)

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
for arch in "${architectures[@]}"; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -buildvcs=auto -trimpath -ldflags '-s -w' -o "$stage/$arch/" \
    ./cmd/upgrade-controller ./cmd/upgradectl
done
version=$(go version -m "$stage/${architectures[0]}/upgradectl" | awk '$1 == "mod" { print $3 }')
[[ $version != "(devel)" ]] || version=${VERSION:?"the programs have no version: set VERSION, such as v0.2.0"}
VERSION=$version SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} \
  go -C hack/packages run ./image "$stage" "$out" "${architectures[@]}"
