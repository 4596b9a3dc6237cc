// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// The output formats.
const (
	asTable = "table"
	asWide  = "wide"
	asJSON  = "json"
	asYAML  = "yaml"
	asName  = "name"
)

// choice is a flag that takes one of some words.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "string" }

func (c *choice) Set(value string) error {
	if !slices.Contains(c.allowed, value) {
		return fmt.Errorf("must be %s", orList(c.allowed))
	}
	c.value = value
	return nil
}

func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// output adds -o; the first format is the default.
func output(set *pflag.FlagSet, formats ...string) *choice {
	c := &choice{formats[0], formats}
	set.VarP(c, "output", "o", orList(formats))
	return c
}

// List is what get -o json and -o yaml print: apiVersion upgrade.jiocloud.com/v1alpha1, a kind (UpgradePlanList,
// HostList, RoleList, VersionList, HoldList or EventList), and items of UpgradePlan, Host, Role, Version, Hold or Event.
// Fields are added to these over time; none is renamed or gets another meaning. Times are RFC 3339 in UTC.
type List[T any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Items      []T    `json:"items"`
}

func list[T any](kind string, items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{v1alpha1.APIVersion, kind, items}
}

// print writes v as JSON or YAML.
func (c *cli) print(format string, v any) error {
	if format == asYAML {
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = c.Out.Write(data)
		return err
	}
	return c.buffered(func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

func (c *cli) buffered(f func(io.Writer) error) error {
	w := bufio.NewWriterSize(c.Out, 64<<10)
	if err := f(w); err != nil {
		return err
	}
	return w.Flush()
}

// table writes columns under a header.
func table(w io.Writer, indent string, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := slices.Clone(row)
		for i, cell := range cells {
			if cells[i] = oneLine(cell); cell == "" && i < len(cells)-1 {
				cells[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(t, strings.TrimRight(indent+strings.Join(cells, "\t"), "\t ")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// oneLine keeps what others wrote into Consul from moving the cursor.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// fact is one line of describe: as describe.Fact, for what is said nowhere but here. Those with an empty text are left out.
type fact struct{ Name, Text string }

func facts[F ~struct{ Name, Text string }](w io.Writer, list []F) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range list {
		f := fact(list[i])
		if f.Text == "" {
			continue
		}
		if _, err := fmt.Fprintf(t, "%s:\t%s\n", f.Name, oneLine(f.Text)); err != nil {
			return err
		}
	}
	return t.Flush()
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
