// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"
)

// StringList is a list of strings that may be written as a single one. It is always printed as a list.
type StringList []string

// UnmarshalJSON takes a string or a list of strings.
func (l *StringList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = StringList{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return fmt.Errorf("must be a string or a list of strings, not %s", data)
	}
	*l = many
	return nil
}
