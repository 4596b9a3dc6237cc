// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// The output formats of -o.
const (
	Table = "table"
	Wide  = "wide"
	JSON  = "json"
	YAML  = "yaml"
	Name  = "name"
)

// Choice is the value of a flag that takes one of several words.
type Choice struct {
	Value   string
	allowed []string
}

// NewChoice returns a choice among allowed. The first one is the default.
func NewChoice(allowed ...string) *Choice { return &Choice{Value: allowed[0], allowed: allowed} }

// BindOutput adds the flag -o. The first format is the default.
func BindOutput(set *pflag.FlagSet, formats ...string) *Choice {
	c := NewChoice(formats...)
	set.VarP(c, "output", "o", OrList(formats))
	return c
}

// String returns the value; with Set and Type it implements pflag.Value.
func (c *Choice) String() string { return c.Value }

// Type is the word for the value in help texts.
func (c *Choice) Type() string { return "string" }

// Set accepts one of the allowed words.
func (c *Choice) Set(value string) error {
	if !slices.Contains(c.allowed, value) {
		return fmt.Errorf("must be %s", OrList(c.allowed))
	}
	c.Value = value
	return nil
}

// Allowed returns the words that Set accepts.
func (c *Choice) Allowed() []string { return slices.Clone(c.allowed) }

// OrList joins words as in "a, b or c".
func OrList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
