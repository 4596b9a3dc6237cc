// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// defaultEditor is the editor if $EDITOR is not set.
const defaultEditor = "vi"

// editHelp is the comment above a plan in the editor.
const editHelp = "Edit the plan below, save and quit. To change nothing, leave it as it is or empty.\n" +
	"`upgradectl explain spec` describes the fields. Comments are not stored.\n"

// editFailed is the first line of the comment if the plan was not stored.
const editFailed = "This was not stored:\n"

type editOptions struct {
	planOptions
	force forceFlag
}

func newCmdEdit(f *factory, runF func(context.Context, *editOptions) error) *cobra.Command {
	o := &editOptions{planOptions: planOptions{factory: f}}
	cmd := &cobra.Command{
		Use:   "edit [NAME]",
		Short: "Edit a stored plan with $EDITOR",
		Long: "Opens a stored plan in $EDITOR (default " + defaultEditor + ") and stores the saved text. If the text is not a valid\n" +
			"plan, the editor opens again, with the problems in a comment. It also opens again if another operator has changed\n" +
			"the plan meanwhile, with that change in a comment. So no change is overwritten unseen.",
		Example:           "  EDITOR=nano upgradectl edit fleet",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completePlans),
		RunE:              runE(f, o, runEdit, runF),
	}
	o.force.bind(cmd.Flags())
	return cmd
}

func runEdit(ctx context.Context, o *editOptions) error {
	s, name, err := o.resolve(ctx)
	if err != nil {
		return err
	}
	if err := o.force.check(ctx, o.factory, name, false); err != nil {
		return err
	}
	file, err := os.CreateTemp("", "upgradectl-edit-*.yaml")
	if err != nil {
		return err
	}
	e := editSession{factory: o.factory, plans: planstore.Plans{Store: s}, name: name, path: file.Name()}
	if err := errors.Join(file.Close(), e.run(ctx)); err != nil {
		if e.changed {
			o.say("your edits are in %s", e.path)
			return err
		}
		return errors.Join(err, os.Remove(e.path))
	}
	return os.Remove(e.path)
}

// editSession is a plan in an editor.
type editSession struct {
	*factory
	plans      planstore.Plans
	name, path string
	// stored is the plan before the edit, and text its manifest.
	stored *v1alpha1.UpgradePlan
	text   string
	// changed reports whether the file has edits of the operator.
	changed bool
}

// editError is a problem that the operator can correct in the editor.
type editError struct{ error }

func (e editError) Unwrap() error { return e.error }

// run opens the editor until the text is stored or the operator gives up.
func (e *editSession) run(ctx context.Context) error {
	if err := e.load(ctx); err != nil {
		return err
	}
	comment, body := editHelp, e.text
	for problem := error(nil); ; {
		given := addComment(comment) + body
		saved, err := e.open(ctx, given)
		if err != nil {
			return err
		}
		body = removeComment(saved)
		switch {
		case strings.TrimSpace(body) == "" || problem == nil && body == e.text:
			e.changed = false
			e.say("edit canceled: nothing was changed")
			return nil
		case saved == given:
			return fmt.Errorf("edit canceled: %w", problem)
		}
		e.changed = true
		if problem = e.store(ctx, body); problem == nil {
			return nil
		}
		if comment, err = e.explain(ctx, problem); err != nil {
			return err
		}
	}
}

// load reads the stored plan.
func (e *editSession) load(ctx context.Context) (err error) {
	if e.stored, err = e.plans.Get(ctx, e.name); err != nil {
		return err
	}
	e.text, err = describe.Manifest(e.stored)
	return err
}

// open opens the editor with a text, and returns the saved text.
func (e *editSession) open(ctx context.Context, text string) (string, error) {
	if err := os.WriteFile(e.path, []byte(text), 0o600); err != nil {
		return "", err
	}
	editor := cmp.Or(e.Getenv("EDITOR"), defaultEditor)
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", e.path) // it may have arguments, as in `code --wait`
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.In, e.raw.Out, e.raw.Err
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("the editor %q: %w", editor, err)
	}
	saved, err := os.ReadFile(e.path)
	return string(saved), err
}

// store stores the text.
func (e *editSession) store(ctx context.Context, body string) error {
	plan, err := e.decode(body)
	if err != nil {
		return editError{err}
	}
	_, outcome, err := e.plans.Replace(ctx, plan, e.stored.Generation)
	if err != nil {
		return err
	}
	word := string(outcome)
	if outcome == planstore.Configured {
		word = "edited"
	}
	fmt.Fprintf(e.Out, "upgradeplan/%s %s\n", e.name, word)
	return nil
}

// decode reads and validates the only plan of the text.
func (e *editSession) decode(body string) (*v1alpha1.UpgradePlan, error) {
	documents, err := manifest.Decode("", []byte(body))
	switch {
	case err != nil:
		return nil, err
	case len(documents) != 1:
		return nil, fmt.Errorf("the text must be one plan, not %d", len(documents))
	}
	plan := documents[0].Plan
	if err := documents[0].Locate(validation.ValidateUpgradePlan(plan)); err != nil {
		return nil, err
	}
	if plan.Name != e.name {
		return nil, fmt.Errorf("metadata.name must stay %s: `upgradectl apply` stores a plan of another name", e.name)
	}
	return plan, nil
}

// explain returns the comment on a problem that the operator can correct. It returns other problems as errors.
func (e *editSession) explain(ctx context.Context, problem error) (string, error) {
	if located, ok := errors.AsType[strictyaml.Errors](problem); ok {
		text := editFailed
		for _, one := range located { // the lines are those of the file with this comment
			one.Source, one.Line = e.path, one.Line+strings.Count(editFailed+editHelp, "\n")+len(located)
			text += "line " + cli.OneLine(strings.TrimPrefix(one.Error(), e.path+":")) + "\n"
		}
		return text + editHelp, nil
	}
	if _, outdated := errors.AsType[*planstore.GenerationError](problem); outdated {
		before := e.text
		if err := e.load(ctx); err != nil {
			return "", err
		}
		return "This was not stored: another operator has changed the plan meanwhile:\n" +
			udiff.Unified("before", "now", before, e.text) +
			"To store your text instead, delete this comment and save. To give up, leave it as it is.\n", nil
	}
	_, wrong := errors.AsType[editError](problem)
	_, invalid := errors.AsType[*planstore.InvalidPlanError](problem)
	if wrong || invalid {
		return editFailed + problem.Error() + "\n" + editHelp, nil
	}
	return "", problem
}

// addComment returns a text as a YAML comment.
func addComment(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	return b.String()
}

// removeComment removes the comment at the beginning of a text.
func removeComment(text string) string {
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}
