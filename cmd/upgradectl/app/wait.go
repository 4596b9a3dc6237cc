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
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	defaultWait     = 30 * time.Second
	waitForLong     = 7 * 24 * time.Hour // what kubectl makes of a negative --timeout
	defaultWaitLook = time.Second
)

// awaited is a condition, and what it shall be.
type awaited struct {
	kind   string
	status metav1.ConditionStatus
}

func (c *cli) wait() *cobra.Command {
	var text string
	timeout, interval := defaultWait, defaultWaitLook
	cmd := &cobra.Command{
		Use:   "wait NAME... --for=condition=CONDITION[=True|False]",
		Short: "Wait until plans have a condition",
		Long: "Waits until each plan has the condition: " + orList(conditions()) + ". It is looked at as it is now, with or\n" +
			"without a controller. Exit code 1 if --timeout passes before that.",
		Example: "  upgradectl wait fleet --for=condition=Complete --timeout=1h\n" +
			"  upgradectl wait fleet --for=condition=Stalled=False",
		Args: args(cobra.MinimumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.many(c.planned)
	cmd.Flags().StringVar(&text, "for", "", "condition=CONDITION, or condition=CONDITION=False")
	completeFlag(cmd, "for", c.offer(awaitable))
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait; 0: look once; negative: a week")
	cmd.Flags().DurationVar(&interval, "interval", interval, "time between two looks")
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		names, err := planNames(args)
		if err != nil {
			return err
		}
		wanted, err := parseAwaited(text)
		if err != nil {
			return err
		}
		if interval <= 0 {
			return flagError{errors.New("--interval must be above 0")}
		}
		_, s, err := c.plans()
		if err != nil {
			return err
		}
		if timeout < 0 {
			timeout = waitForLong
		}
		gaveUp := errors.New("timed out waiting for the condition on upgradeplans/")
		bounded, cancel := context.WithTimeoutCause(ctx, timeout, gaveUp)
		defer cancel()
		for _, name := range names {
			if err := c.waitFor(ctx, bounded, s, name, wanted, interval); errors.Is(err, gaveUp) {
				return fmt.Errorf("%w%s", err, name)
			} else if err != nil {
				return err
			}
			fmt.Fprintf(c.Out, "upgradeplan/%s condition met\n", name)
		}
		return nil
	})
	return cmd
}

// waitFor looks at least once, and then until the bounded context ends.
func (c *cli) waitFor(ctx, bounded context.Context, s store.Store, name string, wanted awaited, interval time.Duration) error {
	for {
		o, err := upgradeplan.Observe(ctx, s, name, c.Now())
		if err != nil {
			return err
		}
		if found := meta.FindStatusCondition(describe.Status(o).Conditions, wanted.kind); found != nil && found.Status == wanted.status {
			return nil
		}
		if err := pause(bounded, interval); err != nil {
			return err
		}
	}
}

func conditions() []string {
	return []string{v1alpha1.ConditionComplete, v1alpha1.ConditionReady, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling}
}

// parseAwaited reads condition=Complete and condition=stalled=false; as with kubectl, case does not matter.
func parseAwaited(text string) (awaited, error) {
	rest, ok := strings.CutPrefix(text, "condition=")
	if !ok {
		return awaited{}, flagError{fmt.Errorf("--for %q: must be condition=CONDITION or condition=CONDITION=False", text)}
	}
	kind, status, given := strings.Cut(rest, "=")
	wanted := awaited{status: metav1.ConditionTrue}
	for _, c := range conditions() {
		if strings.EqualFold(c, kind) {
			wanted.kind = c
		}
	}
	switch {
	case wanted.kind == "":
		return wanted, flagError{fmt.Errorf("--for: condition %q: must be %s", kind, orList(conditions()))}
	case given && strings.EqualFold(status, "false"):
		wanted.status = metav1.ConditionFalse
	case given && !strings.EqualFold(status, "true"):
		return wanted, flagError{fmt.Errorf("--for: %q of condition %s: must be True or False", status, wanted.kind)}
	}
	return wanted, nil
}
