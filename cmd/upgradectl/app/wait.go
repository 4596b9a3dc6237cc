// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	defaultWaitTimeout  = 30 * time.Second
	longWait            = 7 * 24 * time.Hour // as kubectl waits for a negative --timeout
	defaultWaitInterval = time.Second
)

type waitOptions struct {
	*factory
	plansArg
	conditionText     string
	condition         wantedCondition
	timeout, interval time.Duration
}

// wantedCondition is a condition and the status to wait for.
type wantedCondition struct {
	kind   string
	status metav1.ConditionStatus
}

func newCmdWait(f *factory, runF func(context.Context, *waitOptions) error) *cobra.Command {
	o := &waitOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "wait NAME... --for=condition=CONDITION[=True|False]",
		Short: "Wait until plans have a condition",
		Long: "Waits until each plan has the condition: " + cli.OrList(conditions()) + ". The command computes the condition\n" +
			"itself, with or without a controller. Exit code 1 if --timeout passes before that.",
		Example: "  upgradectl wait fleet --for=condition=Complete --timeout=1h\n" +
			"  upgradectl wait fleet --for=condition=Stalled=False",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: f.completeManyArgs(completePlans),
		RunE:              runE(f, o, runWait, runF),
	}
	cmd.Flags().StringVar(&o.conditionText, "for", "", "condition=CONDITION, or condition=CONDITION=False")
	completeFlag(cmd, "for", f.completeBy(completeConditions))
	cmd.Flags().DurationVar(&o.timeout, "timeout", defaultWaitTimeout, "time to wait; 0 means to check once; negative: a week")
	cmd.Flags().DurationVar(&o.interval, "interval", defaultWaitInterval, "time between two checks")
	return cmd
}

func (o *waitOptions) complete(args []string) (err error) {
	if err := o.plansArg.complete(args); err != nil {
		return err
	}
	if o.condition, err = parseCondition(o.conditionText); err != nil {
		return err
	}
	if o.interval <= 0 {
		return cli.FlagErrorf("--interval must be above 0")
	}
	if o.timeout < 0 {
		o.timeout = longWait
	}
	return nil
}

func runWait(ctx context.Context, o *waitOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	gaveUp := errors.New("timed out waiting for the condition on upgradeplans/")
	bounded, cancel := context.WithTimeoutCause(ctx, o.timeout, gaveUp)
	defer cancel()
	for _, name := range o.planNames {
		err := poll(bounded, o.interval, func(context.Context) (bool, error) { // the first check is not bounded
			seen, err := planstore.Observe(ctx, s, name, o.Now())
			if err != nil {
				return false, err
			}
			found := meta.FindStatusCondition(describe.Status(seen).Conditions, o.condition.kind)
			return found != nil && found.Status == o.condition.status, nil
		})
		if errors.Is(err, gaveUp) {
			return fmt.Errorf("%w%s", err, name)
		} else if err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "upgradeplan/%s condition met\n", name)
	}
	return nil
}

func conditions() []string {
	return []string{v1alpha1.ConditionComplete, v1alpha1.ConditionSettled, v1alpha1.ConditionReady, v1alpha1.ConditionStalled,
		v1alpha1.ConditionReconciling}
}

// parseCondition reads condition=Complete and condition=stalled=false. As with kubectl, case does not matter.
func parseCondition(text string) (wantedCondition, error) {
	rest, ok := strings.CutPrefix(text, "condition=")
	if !ok {
		return wantedCondition{}, cli.FlagErrorf("--for %q: must be condition=CONDITION or condition=CONDITION=False", text)
	}
	kind, status, given := strings.Cut(rest, "=")
	wanted := wantedCondition{status: metav1.ConditionTrue}
	for _, c := range conditions() {
		if strings.EqualFold(c, kind) {
			wanted.kind = c
		}
	}
	switch {
	case wanted.kind == "":
		return wanted, cli.FlagErrorf("--for: condition %q: must be %s", kind, cli.OrList(conditions()))
	case given && strings.EqualFold(status, "false"):
		wanted.status = metav1.ConditionFalse
	case given && !strings.EqualFold(status, "true"):
		return wanted, cli.FlagErrorf("--for: %q of condition %s: must be True or False", status, wanted.kind)
	}
	return wanted, nil
}
