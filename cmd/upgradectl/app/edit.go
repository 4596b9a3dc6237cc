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
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// defaultEditor is what edits when $EDITOR is not set.
const defaultEditor = "vi"

// editHelp is the comment above a plan that is edited.
const editHelp = "Edit the plan below, save and quit. Leave it as it is, or empty, to change nothing.\n" +
	"`upgradectl explain spec` says what the fields mean. Comments are not stored.\n"

func (c *cli) edit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit [NAME]",
		Short: "Edit a stored plan with $EDITOR",
		Long: "Opens a stored plan in $EDITOR (" + defaultEditor + " without one) and stores what is saved there. If that is no\n" +
			"valid plan, the editor opens again, with what is wrong in a comment. So it does when somebody else has changed the plan\n" +
			"meanwhile, with that change in a comment: nothing is overwritten unseen.",
		Example: "  EDITOR=nano upgradectl edit fleet",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	force := bindForce(cmd.Flags())
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		plans, _, err := c.plans()
		if err != nil {
			return err
		}
		name, err := c.named(ctx, plans, args)
		if err != nil {
			return err
		}
		if err := c.managed(ctx, plans, name, *force); err != nil {
			return err
		}
		file, err := os.CreateTemp("", "upgradectl-edit-*.yaml")
		if err != nil {
			return err
		}
		e := editing{cli: c, plans: plans, name: name, path: file.Name()}
		if err := errors.Join(file.Close(), e.run(ctx)); err != nil {
			if e.changed {
				c.say("what was edited is in %s", e.path)
				return err
			}
			return errors.Join(err, os.Remove(e.path))
		}
		return os.Remove(e.path)
	})
	return cmd
}

// editing is a plan in an editor.
type editing struct {
	*cli
	plans      upgradeplan.Plans
	name, path string
	// stored is the plan that is to be replaced, and text what an operator says of it.
	stored *v1alpha1.UpgradePlan
	text   string
	// changed says that the file holds something of the operator's.
	changed bool
}

// run edits until what is saved is stored, or given up.
func (e *editing) run(ctx context.Context) error {
	if err := e.load(ctx); err != nil {
		return err
	}
	comment, body := editHelp, e.text
	for problem := error(nil); ; {
		given := commented(comment) + body
		saved, err := e.open(ctx, given)
		if err != nil {
			return err
		}
		body = uncommented(saved)
		switch {
		case strings.TrimSpace(body) == "" || problem == nil && body == e.text:
			e.changed = false
			e.say("edit cancelled: nothing was changed")
			return nil
		case saved == given:
			return fmt.Errorf("edit cancelled: %w", problem)
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

// load reads the plan as it is stored.
func (e *editing) load(ctx context.Context) (err error) {
	if e.stored, err = e.plans.Get(ctx, e.name); err != nil {
		return err
	}
	e.text, err = describe.Manifest(e.stored)
	return err
}

// open lets the operator edit a text.
func (e *editing) open(ctx context.Context, text string) (string, error) {
	if err := os.WriteFile(e.path, []byte(text), 0o600); err != nil {
		return "", err
	}
	editor := cmp.Or(e.Getenv("EDITOR"), defaultEditor)
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", e.path) // it may have arguments, as in `code --wait`
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.In, e.Out, e.Err
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("the editor %q: %w", editor, err)
	}
	saved, err := os.ReadFile(e.path)
	return string(saved), err
}

// store stores what was edited.
func (e *editing) store(ctx context.Context, body string) error {
	documents, err := manifest.Decode("", []byte(body))
	switch {
	case err != nil:
		return err
	case len(documents) != 1:
		return fmt.Errorf("%d plans stand there, not one", len(documents))
	}
	plan := documents[0].Plan
	if err := documents[0].Locate(validation.ValidateUpgradePlan(plan)); err != nil {
		return err
	}
	if plan.Name != e.name {
		return fmt.Errorf("metadata.name must stay %s: `upgradectl apply` stores a plan of another name", e.name)
	}
	_, outcome, err := e.plans.Replace(ctx, plan, e.stored.Generation)
	if err != nil {
		return err
	}
	word := string(outcome)
	if outcome == upgradeplan.Configured {
		word = "edited"
	}
	fmt.Fprintf(e.Out, "upgradeplan/%s %s\n", e.name, word)
	return nil
}

// explain is the comment on what keeps an edited plan from being stored. What no editing mends is an error.
func (e *editing) explain(ctx context.Context, problem error) (string, error) {
	wrong, invalid, outdated := strictyaml.Errors(nil), (*upgradeplan.InvalidPlanError)(nil), (*upgradeplan.GenerationError)(nil)
	const sorry = "This was not stored:\n"
	switch {
	case errors.As(problem, &wrong):
		text := sorry
		for _, one := range wrong { // their lines are those of the file with this comment
			one.Source, one.Line = e.path, one.Line+strings.Count(sorry+editHelp, "\n")+len(wrong)
			text += "line " + oneLine(strings.TrimPrefix(one.Error(), e.path+":")) + "\n"
		}
		return text + editHelp, nil
	case errors.As(problem, &outdated):
		before := e.text
		if err := e.load(ctx); err != nil {
			return "", err
		}
		return "This was not stored, for somebody else has changed the plan meanwhile:\n" +
			udiff.Unified("as it was", "as it is stored now", before, e.text) +
			"To store yours in its place, delete this comment and save. To give up, leave it as it is.\n", nil
	case errors.As(problem, &invalid), !errors.As(problem, new(*upgradeplan.NotFoundError)) && errors.Unwrap(problem) == nil:
		return sorry + problem.Error() + "\n" + editHelp, nil
	}
	return "", problem
}

// commented is a text as a comment.
func commented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	return b.String()
}

// uncommented is a text without the comment at its beginning.
func uncommented(text string) string {
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}
