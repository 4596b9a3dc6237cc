// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	agent "github.com/jiocloud/upgrade-controller/cmd/upgrade-agent/app"
	controller "github.com/jiocloud/upgrade-controller/cmd/upgrade-controller/app"
	upgradectl "github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write replaces both forms for all programs.
func write(folder string) error {
	pages := filepath.Join(folder, "man")
	if err := os.RemoveAll(pages); err != nil { // pages of removed commands
		return err
	}
	if err := os.MkdirAll(pages, 0o755); err != nil {
		return err
	}
	for _, root := range programs() {
		root.DisableAutoGenTag = true
		if err := manual(pages, root); err != nil {
			return err
		}
		var text bytes.Buffer
		if err := markdown(&text, root); err != nil {
			return err
		}
		page := append(bytes.TrimRight(text.Bytes(), "\n"), '\n')
		if err := os.WriteFile(filepath.Join(folder, root.Name()+".md"), page, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func programs() []*cobra.Command {
	return []*cobra.Command{
		upgradectl.New(upgradectl.Options{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }, Now: time.Now,
			Who: "USER@HOST"}),
		agent.New(io.Discard),
		controller.New(io.Discard),
	}
}

// manual writes a page for a command, and for each below it.
func manual(folder string, cmd *cobra.Command) error {
	var page bytes.Buffer
	header := &doc.GenManHeader{Section: "1", Source: "upgrade-controller", Manual: cmd.Root().Name(), Date: &time.Time{}}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return err
	}
	// No date: it would change the pages each month.
	undated := bytes.Replace(page.Bytes(), []byte(`"Jan 0001"`), []byte(`""`), 1)
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(folder, name), undated, 0o644); err != nil {
		return err
	}
	return below(cmd, func(sub *cobra.Command) error { return manual(folder, sub) })
}

// below calls a function for each visible command below one.
func below(cmd *cobra.Command, do func(*cobra.Command) error) error {
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := do(sub); err != nil {
			return err
		}
	}
	return nil
}

// markdown writes a command, and then those below it, as one page.
func markdown(w *bytes.Buffer, cmd *cobra.Command) error {
	link := func(file string) string {
		return "#" + strings.ReplaceAll(strings.TrimSuffix(file, ".md"), "_", "-")
	}
	if err := doc.GenMarkdownCustom(cmd, w, link); err != nil {
		return err
	}
	return below(cmd, func(sub *cobra.Command) error { return markdown(w, sub) })
}
