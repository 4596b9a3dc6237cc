// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config reads the configuration file of an agent: kind AgentConfig, read as strictly as plans.
//
// It owns the fields, their defaults and their validation. It must not build the parts of an agent: cmd/upgrade-agent does.
// Start reading at Config and Decode.
package config
