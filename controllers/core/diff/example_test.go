// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diff_test

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
)

func ExampleCompute() {
	actual := diff.KeySet{
		{Key: "config_state/enable_puppet/host/web1", Value: "True", Flags: 1700000000, Index: 12},
		{Key: "config_state/enable_puppet/host/web2", Value: "true", Flags: 1700000000, Index: 13},
	}
	desired := diff.KeySet{
		{Key: "config_state/enable_puppet/host/web2", Value: "True", Flags: 1700000000},
		{Key: "config_state/enable_puppet/host/web3", Value: "True", Flags: 1700000060},
	}
	fmt.Print(diff.Compute(actual, desired))
	// Output:
	// -config_state/enable_puppet/host/web2 = true
	// +config_state/enable_puppet/host/web2 = True
	// +config_state/enable_puppet/host/web3 = True
	// -config_state/enable_puppet/host/web1 = True
}
