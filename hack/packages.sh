#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the Debian and RPM packages of the three programs. Two builds of one commit give the same bytes.
#
#   hack/packages.sh [FOLDER [ARCHITECTURE...]]
#
# The default is bin/packages, for amd64 and arm64. The packages have the version of the programs, which Go reads from Git. VERSION,
# such as v0.2.0, is for programs without one: Go reads none in a linked worktree, or without Git.
set -euo pipefail
cd "$(dirname "$0")/.."

programs=(upgradectl upgrade-agent upgrade-controller)
out=${1:-bin/packages}
shift || true
architectures=("$@")
(($#)) || architectures=(amd64 arm64)

[[ -x bin/nfpm ]] || make --no-print-directory bin/nfpm

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$out"

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH STAGE=$stage

# binaries builds the programs for an architecture.
binaries() {
  CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -buildvcs=auto -trimpath -ldflags '-s -w' -o "$stage/$1/" ./cmd/...
}

# package_version turns a version into one of Debian and RPM, which allow one hyphen, before their own number: v0.2.0-rc.1 becomes
# 0.2.0~rc.1, which is older than 0.2.0.
package_version() {
  local version=${1#v}
  version=${version/-/\~}
  echo "${version//-/.}"
}

compress() { gzip -9n; }

# licenses prints the licenses of all modules that a program contains.
licenses() {
  local path version dir file
  go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' "./cmd/$1" | sort -u |
    while read -r path version dir; do
      for file in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE*; do
        if [[ -f $file ]]; then printf '%s %s: %s\n\n' "$path" "$version" "${file##*/}" && cat "$file" && printf '\n\n'; fi
      done
    done
}

# changelog prints a changelog in Debian's format.
changelog() {
  cat <<END
$1 ($VERSION-1) unstable; urgency=medium

  * See changelog.gz.

 -- The upgrade-controller Authors <maintainers@upgrade.jiocloud.com>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
}

here=$(go env GOHOSTARCH)
for arch in $(printf '%s\n' "${architectures[@]}" "$here" | sort -u); do
  binaries "$arch"
done
version=$(go version -m "$stage/$here/upgradectl" | awk '$1 == "mod" { print $3 }')
[[ $version != "(devel)" ]] || version=${VERSION:?"the programs have no version: set VERSION, such as v0.2.0"}
VERSION=$(package_version "$version")
export VERSION

mkdir -p "$stage/man" "$stage/completion"
for page in docs/reference/man/*.1; do
  compress <"$page" >"$stage/man/${page##*/}.gz"
done
compress <CHANGELOG.md >"$stage/changelog.gz"
for program in "${programs[@]}"; do
  for shell in bash zsh fish; do
    "$stage/$here/$program" completion "$shell" >"$stage/completion/$program.$shell"
  done
done
for program in "${programs[@]}"; do
  mkdir -p "$stage/$program"
  changelog "$program" | compress >"$stage/$program/changelog.Debian.gz"
  licenses "$program" | compress >"$stage/$program/third-party-licenses.gz"
done

for arch in "${architectures[@]}"; do
  for program in "${programs[@]}"; do
    for packager in deb rpm; do
      ARCH=$arch bin/nfpm package --config "config/packages/$program.yaml" --packager "$packager" --target "$out/"
    done
  done
done
