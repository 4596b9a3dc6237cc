// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

var errKilled = errors.New("the process was killed")

// process is a program that runs somewhere. Each of its calls waits until the scheduler executes it.
type process struct {
	world *world
	// name is unique in a run.
	name    string
	machine *machine // nil for controllers and operators
	// leads is true for controllers.
	leads bool
	dead  atomic.Bool
	// offset is how wrong its clock is, in nanoseconds.
	offset      atomic.Int64
	pausedUntil time.Time
	// disturbed is when a fault last affected it.
	disturbed time.Time
	ctx       context.Context
	cancel    context.CancelFunc
}

func (w *world) newProcess(name string) *process {
	p := &process{world: w, name: name, disturbed: time.Now()}
	p.ctx, p.cancel = newContext()
	return p
}

// now is what the clock of the process shows.
func (p *process) now() time.Time { return time.Now().Add(time.Duration(p.offset.Load())) }

// noticed says that the process must have read what was written before it decided: soon, unless faults have affected it since.
func (p *process) noticed(written, decided time.Time) bool {
	took := decided.Sub(written)
	calm := p.disturbed.Before(written) && p.pausedUntil.Before(written)
	return took > reported || calm && took > time.Minute
}

// reported is after what time a leader must have read a report, also if faults affect it.
const reported = 5 * time.Minute

// kill kills the process without cleanup. Writes that are on their way may arrive later.
func (p *process) kill() {
	p.dead.Store(true)
	p.cancel()
	w := p.world
	w.mu.Lock()
	var ended []*call
	kept := w.parked[:0]
	for _, c := range w.parked {
		if c.process == p && !c.orphan {
			c.orphan = true
			ended = append(ended, c)
			if c.ops == nil {
				continue
			}
		}
		kept = append(kept, c)
	}
	w.parked = kept
	w.mu.Unlock()
	for _, c := range ended {
		c.done <- errKilled
	}
}

// call is one call of a process to the store, or another moment at which the process may be interrupted.
type call struct {
	process  *process
	op, what string
	arrival  uint64
	// do executes the call. ops are the operations of a transaction, and intends those before a seam changed them.
	do           func() error
	ops, intends []store.Op
	// at is what a watch returns.
	at store.WatchIndex
	// done gets the answer.
	done chan error
	// orphan says that its caller does not wait for an answer any more.
	orphan    bool
	notBefore time.Time
	// sent is when the process made the call.
	sent time.Time
	// late says that it arrives although its caller is gone.
	late bool
}

// readyAt is when the call may be executed.
func (c *call) readyAt() time.Time {
	if c.process.pausedUntil.After(c.notBefore) {
		return c.process.pausedUntil
	}
	return c.notBefore
}

// twin says that two calls are the same watch. Whether two goroutines that begin to watch at the same moment share one query depends
// on their order, which no seed decides. So they share one step, and the newest answer.
func (c *call) twin(o *call) bool {
	return c.op == watchOp && o.op == watchOp && c.process == o.process && c.what == o.what
}

const watchOp = "watch"

// faulty says whether a fault of the network can affect the call.
func (c *call) faulty() bool { return c.op != "disk" && !c.orphan }

// wait hands a call to the scheduler and waits for its answer.
func (p *process) wait(ctx context.Context, c *call) error {
	if p.dead.Load() {
		return errKilled
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w := p.world
	c.process, c.done, c.sent = p, make(chan error, 1), time.Now()
	w.mu.Lock()
	w.arrivals++
	c.arrival = w.arrivals
	w.parked = append(w.parked, c)
	w.mu.Unlock()
	select {
	case w.arrived <- struct{}{}:
	default: // one arrival is enough
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		w.abandon(c)
		return ctx.Err()
	}
}

// abandon gives up a call. A transaction is on its way, and may arrive.
func (w *world) abandon(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.ops == nil {
		w.parked = slices.DeleteFunc(w.parked, func(o *call) bool { return o == c })
		return
	}
	c.orphan = true
}

// port is the store as a process reaches it.
type port struct{ process *process }

var _ store.Store = port{}

func (p port) memory() store.Store { return p.process.world.store }

func read[T any](ctx context.Context, p port, op, what string, do func(context.Context) (T, store.Meta, error)) (T, store.Meta, error) {
	var value T
	var meta store.Meta
	err := p.process.wait(ctx, &call{op: op, what: what, do: func() (err error) {
		value, meta, err = do(context.Background())
		return err
	}})
	if err != nil {
		var zero T
		return zero, store.Meta{}, err
	}
	return value, meta, nil
}

func (p port) List(ctx context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	return read(ctx, p, "list", prefix, func(ctx context.Context) ([]keys.Pair, store.Meta, error) {
		pairs, meta, err := p.memory().List(ctx, prefix)
		return p.process.world.seams.read(p.process, pairs), meta, err
	})
}

func (p port) Keys(ctx context.Context, prefix string, hints ...store.ReadHint) ([]string, store.Meta, error) {
	return read(ctx, p, "keys", prefix, func(ctx context.Context) ([]string, store.Meta, error) {
		if hides := p.process.world.seams.hides; hides != nil && hides(p.process, prefix) {
			return nil, store.Meta{Index: 1}, nil
		}
		return p.memory().Keys(ctx, prefix, hints...)
	})
}

func (p port) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	return read(ctx, p, "get", several(key), func(ctx context.Context) ([]keys.Pair, store.Meta, error) {
		pairs, meta, err := p.memory().Get(ctx, key...)
		return p.process.world.seams.read(p.process, p.process.machine.readsAsOld(pairs)), meta, err
	})
}

func (p port) Unhealthy(ctx context.Context) ([]fleet.Check, store.Meta, error) {
	return read(ctx, p, "checks", "", func(ctx context.Context) ([]fleet.Check, store.Meta, error) {
		checks, meta, err := p.memory().Unhealthy(ctx)
		return p.process.world.seams.unhealthy(checks), meta, err
	})
}

func (p port) Nodes(ctx context.Context) ([]string, store.Meta, error) {
	return read(ctx, p, "nodes", "", p.memory().Nodes)
}

func (p port) MaxOps() int { return p.memory().MaxOps() }

func (p port) Txn(ctx context.Context, ops []store.Op) (result store.Result, err error) {
	intends := ops
	ops = p.process.world.seams.write(p.process, p.process.machine.writesAsOld(ops))
	err = p.process.wait(ctx, &call{op: "txn", what: describe(ops), ops: ops, intends: intends, do: func() (err error) {
		result, err = p.memory().Txn(context.Background(), ops)
		return err
	}})
	if err != nil {
		return store.Result{}, err
	}
	return result, nil
}

func (p port) CreateSession(ctx context.Context, o store.SessionOptions) (id string, err error) {
	var created string
	err = p.process.wait(ctx, &call{op: "session", what: "create", do: func() (err error) {
		created, err = p.memory().CreateSession(context.Background(), o)
		return err
	}})
	if err != nil {
		return "", err
	}
	return created, nil
}

func (p port) RenewSession(ctx context.Context, id string) error {
	return p.process.wait(ctx, &call{op: "session", what: "renew", do: func() error { return p.memory().RenewSession(context.Background(), id) }})
}

func (p port) DestroySession(ctx context.Context, id string) error {
	return p.process.wait(ctx, &call{op: "session", what: "destroy",
		do: func() error { return p.memory().DestroySession(context.Background(), id) }})
}

// Wait waits at the store itself. The scheduler decides when the answer is read and arrives: what a waiter sees as it wakes between
// two changes of one moment is decided by no seed.
func (p port) Wait(ctx context.Context, target store.WatchTarget, index uint64, atMost time.Duration) (store.WatchIndex, error) {
	if p.process.dead.Load() {
		return store.WatchIndex{}, errKilled
	}
	at, err := p.memory().Wait(ctx, target, index, atMost)
	if err != nil || at.Index == index {
		return at, err
	}
	what := fmt.Sprintf("%s from %d", short(target.String()), index)
	c := &call{op: watchOp, what: what}
	c.do = func() (err error) {
		c.at, err = p.memory().Wait(context.Background(), target, 0, 0) // does not wait
		return err
	}
	if err := p.process.wait(ctx, c); err != nil {
		return store.WatchIndex{}, err
	}
	return c.at, nil
}

// several names keys in one word.
func several(key []string) string {
	switch len(key) {
	case 0:
		return ""
	case 1:
		return short(key[0])
	}
	return short(key[0]) + " and " + strconv.Itoa(len(key)-1) + " more"
}

func short(key string) string { return strings.TrimPrefix(key, "upgrade.jiocloud.com/") }

// describe is what a transaction writes.
func describe(ops []store.Op) string {
	var b strings.Builder
	for _, op := range ops {
		if !op.Verb.Writes() {
			continue
		}
		key := short(op.Key)
		if strings.HasPrefix(key, "plans/") && (strings.Contains(key, "/events/") || strings.HasSuffix(key, "/ledger") || strings.HasSuffix(key, "epoch-change")) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		switch op.Verb {
		case store.Delete, store.DeleteCAS, store.DeleteTree:
			b.WriteByte('-')
		}
		b.WriteString(key)
		if len(op.Value) > 0 && len(op.Value) < 24 {
			b.WriteByte('=')
			b.Write(op.Value)
		}
	}
	return b.String()
}
