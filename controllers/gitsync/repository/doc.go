// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package repository reads the manifests of one commit of a Git repository, over https, ssh or from a local folder.
//
// It owns references, credentials, limits and signatures. It must not know what a plan is: it returns files. It has no
// working tree and writes no file that has a name, so an interrupted fetch leaves nothing behind. Limits bound every
// fetch in size, and the context bounds it in time.
//
// It uses go-git for packfiles, objects and the protocol, and has its own transports around it: those of go-git ignore
// the context while they connect, read the user's SSH configuration and do not limit what they receive.
//
// The alternative is "git fetch --depth=1 --filter=blob:limit=N". It fetches as little, and is kept up to date with all
// servers. It is not used for these reasons:
//
//   - It needs the git and ssh programs on each machine that runs the controller, in versions that support filters.
//   - It stores a repository on disk, which the controller must create, lock, repair and delete.
//   - It has no limit for the size or the number of objects, and servers may ignore the filter.
//   - Credentials have to pass through environment variables, askpass programs or configuration files.
//   - Errors are texts of another program, so Reason would depend on its wording.
//
// Start reading at Open and Remote.Read.
package repository
