#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Prints the version of the checkout: its tag; or the last tag, the number of commits since, and the commit; or the time of the
# commit, if there is no tag.
set -euo pipefail
cd "$(dirname "$0")/.."

dirty=
git diff --quiet HEAD || dirty=+dirty
if ! version=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null); then
  if version=$(git describe --tags --long --abbrev=12 --match 'v[0-9]*' 2>/dev/null); then
    version=$(sed -E 's/-([0-9]+)-(g[0-9a-f]+)$/+\1.\2/' <<<"$version")
  else
    version=$(TZ=UTC git show -s --abbrev=12 --date=format-local:%Y%m%d%H%M%S --format=v0.0.0-%cd.%h)
  fi
fi
echo "$version$dirty"
