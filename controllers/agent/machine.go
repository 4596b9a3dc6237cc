// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Machine identifies the machine on which the agent runs.
type Machine interface {
	// ID is empty when the machine has no identifier.
	ID() (string, error)
}

// MachineIDFile is the path of a file as machine-id(5) describes it.
type MachineIDFile string

// SystemMachineID is the machine id of this machine.
const SystemMachineID MachineIDFile = "/etc/machine-id"

// applicationID is that of this project. It is part of the protocol: another value makes each machine another one.
const applicationID = "5f7595950de843578b4eac720a51641d"

// ID returns what `systemd-id128 machine-id --app-specific` prints for the file and applicationID. The content of the file
// itself must not leave the machine.
func (f MachineIDFile) ID() (string, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("machine id: %w", err)
	}
	key, _ := hex.DecodeString(strings.TrimSpace(string(data))) // of another text, too few bytes
	if len(key) != 16 {
		return "", nil // empty or "uninitialized" while the system is installed
	}
	application, err := hex.DecodeString(applicationID)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(application)
	id := mac.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a random UUID, as sd_id128_get_machine_app_specific makes it
	return hex.EncodeToString(id), nil
}

// The times for which machines wait for each other. Each is at least a multiple of the agent's interval.
const (
	// claimWait is how long a machine waits for the machine of the report before it takes the report over.
	claimWait = 5 * time.Minute
	// startedWait replaces claimWait for a host that has started: its agent answers when its step has ended.
	startedWait = time.Hour
	// claimEvery is the time between two claims of a machine that was answered.
	claimEvery = 5 * time.Minute
	// silentAfter is how long one of two machines must be silent before the other goes on alone.
	silentAfter = 15 * time.Minute
)

// foreign reports whether the report of the host is by another machine.
func (o Observation) foreign() bool {
	r := o.Own.Report
	return r != nil && o.Machine != "" && r.Machine != "" && r.Machine != o.Machine
}

// duplicate reports whether two machines report as the host, as far as this machine knows.
func (o Observation) duplicate() bool {
	r := o.Own.Report
	if r == nil || o.Machine == "" || r.Other.Machine == "" {
		return false
	}
	return r.Other.Duplicate || r.Machine == o.Machine
}

// waits returns the larger of a time and three intervals of the agent: the other agent mostly has the same one.
func (a *Agent) waits(d time.Duration) time.Duration { return max(d, 3*(a.Interval+a.Jitter)) }

// machineOps writes what this machine has to say to another one that has the same host name. The rest of the report stays.
func (a *Agent) machineOps(o Observation) []store.Op {
	if o.Own.Report == nil {
		return nil
	}
	r := *o.Own.Report
	if o.foreign() {
		r = a.claim(o, r)
	} else {
		r.Other = a.answer(o)
	}
	if r == *o.Own.Report {
		return nil
	}
	return []store.Op{a.setReport(o, r)}
}

// claim returns the report by another machine with the claim of this one. If the other machine does not answer, this one takes
// the report over: a host that was installed again has a new machine id.
func (a *Agent) claim(o Observation, r fleet.Report) fleet.Report {
	mine := fleet.OtherMachine{Machine: o.Machine, Time: o.Now, Duplicate: r.Other.Duplicate}
	age := o.Now.Sub(r.Other.Time)
	switch {
	case r.Other.Machine == "":
		r.Other = mine
	case r.Other.Machine != o.Machine && r.Other.Duplicate: // a third machine goes on when both are silent
		if a.others.unchanged(o) >= a.waits(silentAfter) {
			r.Other = mine
		}
	case r.Other.Machine != o.Machine: // a claim that is not answered yet, and may stay so
		r.Machine, r.Other = r.Other.Machine, mine
	case age < 0: // the clock was set back
		r.Other = mine
	case r.Other.Answered.IsZero() && age >= a.patience(o, r):
		r.Machine, r.Other = o.Machine, fleet.OtherMachine{}
	case !r.Other.Answered.IsZero() && age >= claimEvery:
		r.Other = mine
	}
	return r
}

// seenReport is a report that this machine takes no part in, and when it first saw it. It is lost when the process ends.
type seenReport struct {
	index uint64
	since time.Time
}

// unchanged returns for how long this machine has seen the report of the observation.
func (s *seenReport) unchanged(o Observation) time.Duration {
	if age := o.Now.Sub(s.since); s.index == o.Own.ReportIndex && age >= 0 {
		return age
	}
	*s = seenReport{o.Own.ReportIndex, o.Now}
	return 0
}

// patience is how long this machine waits for an answer.
func (a *Agent) patience(o Observation, r fleet.Report) time.Duration {
	switch {
	case o.Own.Started != nil && o.Own.Started.By == "":
		return a.waits(startedWait)
	case r.Other.Duplicate:
		return a.waits(silentAfter)
	}
	return a.waits(claimWait)
}

// answer returns what a report by this machine says about another one: it answers each claim, until there are none for a while.
func (a *Agent) answer(o Observation) fleet.OtherMachine {
	r := o.Own.Report
	if r == nil || o.Machine == "" || o.foreign() || r.Other.Machine == "" {
		return fleet.OtherMachine{}
	}
	other := r.Other
	switch age := o.Now.Sub(other.Answered); {
	case other.Answered.IsZero() || age < 0:
		other.Answered, other.Duplicate = o.Now, true
	case age >= a.waits(silentAfter):
		return fleet.OtherMachine{}
	}
	return other
}

// signed adds to a report the version that the host has, the version of the agent, the machine, and what it says about another one.
func (a *Agent) signed(o Observation, r fleet.Report) fleet.Report {
	r.AgentVersion, r.Machine, r.Other = a.AgentVersion, o.Machine, a.answer(o)
	if r.Reached.Version == "" {
		r.Reached = o.Reached
	}
	if r.Other.Duplicate && r.Phase == fleet.PhaseIdle {
		r.Phase, r.Reason, r.Message = fleet.PhaseRefused, string(permission.Duplicate), duplicateMessage(o.Host, r)
	}
	return r
}

func duplicateMessage(host string, r fleet.Report) string {
	return fmt.Sprintf("%s is reported by two machines (%s): neither starts a change until one is gone or has another name",
		host, r.Machines())
}
