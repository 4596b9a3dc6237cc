// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package legacy converts between plans and the JSON instructions of python-jiocloud, which its upgrade command reads from
// --instructions and from /etc/jiocloud-upgrade.json (jiocloud/upgrade.py, branch rolling_upgrade_code).
//
// Names have underscores only. The comment in that file writes them with dashes, but its validate_instructions rejects
// dashes. The package must not change how plans work: it only converts. Start reading at Parse.
package legacy
