// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dst simulates the whole system in its tests: controllers, agents, legacy hosts and operators over a store in memory, in
// virtual time, with faults. A seed decides each interleaving, so a failure replays exactly.
//
// The parts are: world (the scheduler), process and port (each call to the store waits for the scheduler), the processes, the
// faults, and the referee, which checks what hosts really do and asks the planner nothing: referee_test.go, inflight_test.go and
// aside_test.go must not import controllers/core/rollout. docs/design/simulation.md describes them. Start reading at TestSimulation.
package dst
