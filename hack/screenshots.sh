#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Writes docs/images: a rollout of about 300 hosts with a real Consul and the binaries of bin/, as the dashboard and
# upgradectl top show it. Needs chromium, and takes about 90 seconds.
set -euo pipefail
cd "$(dirname "$0")/.."

UPGRADE_TEST_CONSUL=${UPGRADE_TEST_CONSUL:-$(hack/consul.sh)}
export UPGRADE_TEST_CONSUL
mkdir -p docs/images
go run ./hack/screenshots bin hack/screenshots/plan.yaml docs/images
