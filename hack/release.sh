#!/usr/bin/env bash
# Copyright The upgrade-controller Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the files of a release from a clone of the commit that has its tag, so that nothing of this folder gets into them. Two
# builds give the same bytes.
#
#   hack/release.sh VERSION [--dry-run] [FOLDER [PLATFORM...]]
#
# VERSION is a tag, such as v0.2.0. With --dry-run it may be missing: the last commit is built as that version. The default is
# bin/release, for linux/amd64, linux/arm64, darwin/amd64 and darwin/arm64. Platforms other than Linux get upgradectl only.
set -euo pipefail
top=$(realpath "$(dirname "$0")/..")
cd "$top"

fail() { echo "release: $*" >&2 && exit 2; }

version=${1:-}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail "VERSION must be a tag such as v0.2.0, not \"$version\""
shift
dry=
if [[ ${1:-} == --dry-run ]]; then dry=yes && shift; fi
out=$(realpath -m "${1:-bin/release}")
shift || true
platforms=("$@")
(($#)) || platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64)

if [[ $dry ]]; then
  commit=$(git rev-parse HEAD)
else
  commit=$(git rev-parse --verify --quiet "refs/tags/$version^{commit}") || fail "there is no tag $version; --dry-run needs none"
fi
unset MAKEFLAGS # so that make --dry-run builds the tools
make --no-print-directory bin/nfpm bin/cyclonedx-gomod

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
git clone -q --no-checkout "$top" "$stage/source"
cd "$stage/source"
git -c advice.detachedHead=false checkout -q "$commit"
git tag -f "$version" "$commit" >/dev/null
mkdir -p bin
ln -s "$top/bin/nfpm" bin/nfpm
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

name=${version#v}
rm -rf "$out"
mkdir -p "$out"

# build builds programs for an operating system and an architecture into a folder.
build() {
  CGO_ENABLED=0 GOOS=$1 GOARCH=$2 go build -buildvcs=true -trimpath -ldflags '-s -w' -o "$3/" "${@:4}"
}

# archive packs folders of the stage into a file. The order, the owners and the times of the files are always the same.
archive() {
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=u,go-w -C "$stage" -c "${@:2}" | gzip -9n >"$out/$1"
}

# bill writes the software bill of materials of a program.
bill() {
  "$top/bin/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "$version" -output "$2" "$1" 2>/dev/null
}

linux=()
for platform in "${platforms[@]}"; do
  os=${platform%/*} arch=${platform#*/}
  if [[ $os == linux ]]; then
    linux+=("$arch")
    folder=upgrade-controller_${name}_${os}_$arch
    programs=(upgradectl upgrade-agent upgrade-controller)
  else
    folder=upgradectl_${name}_${os}_$arch
    programs=(upgradectl)
  fi
  build "$os" "$arch" "$stage/$folder" "${programs[@]/#/./cmd/}"
  for program in "${programs[@]}"; do
    bill "$stage/$folder/$program" "$out/${program}_${name}_${os}_$arch.cdx.json"
  done
  cp -r LICENSE README.md CHANGELOG.md config "$stage/$folder/"
  archive "$folder.tar.gz" "$folder"
done
if ((${#linux[@]})); then
  hack/packages.sh "$out" "${linux[@]}"
  hack/image.sh "$stage/image" "${linux[@]}"
  archive "upgrade-controller_${name}_image.tar.gz" image
fi

[[ -z $(git status --porcelain) ]] || fail "the build changed its sources: $(git status --short | head -3)"
cd "$out"
sha256sum -- * >SHA256SUMS
echo "release $version of $commit: $(wc -l <SHA256SUMS) files in $out"
