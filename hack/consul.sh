#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Prints the path of a Consul binary: the one on the PATH, or else bin/consul. Builds bin/consul if it is missing or differs from
# the version that hack/consul/go.mod pins.
set -euo pipefail
cd "$(dirname "$0")/.."

if found=$(command -v consul); then
  echo "$found"
  exit
fi

binary=$PWD/bin/consul
pinned=$(awk '$1 == "github.com/hashicorp/consul" { print $2 }' hack/consul/go.mod)
built=$(go version -m "$binary" 2>/dev/null | awk '$1 == "mod" || $1 == "dep" { if ($2 == "github.com/hashicorp/consul") print $3 }' || true)
if [[ $built != "$pinned" ]]; then
  echo "no consul on the PATH: building $pinned from source into bin/consul, once, which takes a few minutes" >&2
  CGO_ENABLED=0 go -C hack/consul build -trimpath -ldflags '-s -w' -o "$binary" github.com/hashicorp/consul
fi
echo "$binary"
