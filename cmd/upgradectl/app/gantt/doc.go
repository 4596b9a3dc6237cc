// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gantt draws the outcome of a simulation as an SVG chart. It does no I/O. Start reading at SVG.
package gantt
