// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package strictyaml decodes YAML and JSON into Go types by their json tags, and rejects unknown and duplicate fields and
// values of another type. It reports all errors of a file at once, each with its line, the path of the field, the allowed
// values and a suggestion if a similar field exists.
//
// Scalars have the types of YAML 1.2: yes and on are strings, and a string that looks like a number must be quoted.
//
// The package must not validate values beyond their types: package validation does. A fuzz test checks that it accepts no
// document that UnmarshalStrict of sigs.k8s.io/yaml rejects or decodes to another value. Start reading at Read and
// Document.Decode.
package strictyaml
