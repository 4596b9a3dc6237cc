// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package simulate runs a rollout in virtual time: simulated hosts against the real keys.Decode, rollout.Compute and
// keys.Render. It owns the simulated hosts, the virtual store and the Outcome.
//
// It does no I/O and reads no clock; randomness comes from Options.Rand. The same options give the same log. Start reading
// at Options and Simulation.Run.
package simulate
