// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollout owns the decision of a pass: which hosts may change their version now, and why each other host may not.
//
// Compute is total and deterministic: the same input gives the same decision, and odd observations become verdicts, not
// errors. The package must not read keys, clocks or files, and must not make a decision from a sentence: sentences are
// rendered in message.go and remedy.go, from values.
//
// A decision is made in stages, each of which returns a value:
//
//	classify  the facts of each host                      classify.go
//	tally     roles, groups, limits, canaries, order      limits.go, canary.go, order.go
//	gate      what stops every new grant                  gate.go
//	admit     a verdict for each host, by the rules       admit.go, rules.go
//	conclude  the decision                                compute.go, ledger.go
//
// Start reading at Compute, then at the table in rules.go. The rules are those of docs/design/protocol.md, sections 2 to 4.
package rollout
