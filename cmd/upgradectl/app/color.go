// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"io"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

// The values of --color.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

// colorFlag is the flag --color. The zero value means auto.
type colorFlag struct{ choice *cli.Choice }

func (c *colorFlag) bind(set *pflag.FlagSet) {
	c.choice = cli.NewChoice(colorAuto, colorAlways, colorNever)
	set.Var(c.choice, "color", "auto, always or never; auto: on a terminal, unless NO_COLOR is set")
}

// enabled reports whether a diff has colors: by the flag, else on a terminal unless NO_COLOR is set (https://no-color.org).
func (c colorFlag) enabled(f *factory) bool {
	if c.choice != nil && c.choice.Value != colorAuto {
		return c.choice.Value == colorAlways
	}
	return f.OutTerminal && f.Getenv("NO_COLOR") == ""
}

// writeDiff writes a diff, in colors if they are enabled.
func (c colorFlag) writeDiff(f *factory, text string) error {
	colored := c.enabled(f)
	return cli.Buffered(f.raw.Out, func(w io.Writer) error {
		for line := range strings.Lines(text) {
			line = cli.OneLine(strings.TrimSuffix(line, "\n"))
			if colored {
				line = colorize(line)
			}
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// colorize colors one line of a diff.
func colorize(line string) string {
	for _, p := range []struct {
		prefix string
		color  color.Attribute
	}{{"--- ", color.Bold}, {"+++ ", color.Bold}, {"@@", color.FgCyan}, {"-", color.FgRed}, {"+", color.FgGreen}} {
		if strings.HasPrefix(line, p.prefix) {
			colored := color.New(p.color)
			colored.EnableColor() // enabled has checked the terminal
			return colored.Sprint(line)
		}
	}
	return line
}
