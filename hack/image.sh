#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the OCI image of upgrade-controller and upgradectl, as an OCI layout. Two builds of one commit give the same bytes.
#
#   hack/image.sh [FOLDER [ARCHITECTURE...]]
#
# The default is bin/image, for amd64 and arm64. VERSION is a label of the image; without it, that is the version of the checkout.
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
VERSION=${VERSION:-$(hack/version.sh)} SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} \
  go -C hack/packages run ./image "$stage" "$out" "${architectures[@]}"
