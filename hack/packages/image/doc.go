// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command image writes the OCI image of the controller and the command line into a folder, as an OCI layout for several
// architectures. The same binaries and the same date give the same bytes.
//
// It builds nothing itself: hack/image.sh gives it the binaries. Start reading at write.
package main
