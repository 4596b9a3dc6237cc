// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	// unknownVersion is the version of a host for which the file has none.
	unknownVersion = "before"
	// maxHostsFile bounds the size of a file with hosts or changes, in bytes.
	maxHostsFile = 256 << 20
)

// readHostsFile reads a file with one host on each line, or with the output of get hosts -o json.
func readHostsFile(f *factory, path string) ([]simulate.Host, error) {
	data, source, err := readFile(f, path, maxHostsFile)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return hostList(source, data)
	}
	return hostLines(source, string(data))
}

// hostList reads the output of get hosts -o json.
func hostList(source string, data []byte) ([]simulate.Host, error) {
	var list List[describe.Host]
	if err := json.Unmarshal(data, &list); err != nil || list.Kind != "HostList" {
		return nil, fmt.Errorf("%s: must be the output of `upgradectl get hosts -o json`, or have one host on each line", source)
	}
	hosts, seen := make([]simulate.Host, 0, len(list.Items)), map[string]bool{}
	for i, item := range list.Items {
		h := simulate.Host{Name: item.Name, Version: item.Version, Agent: item.Agent}
		if item.Report != nil {
			h.Role, h.AgentVersion = item.Report.Role, cmp.Or(item.Report.AgentVersion, "unknown")
		}
		if err := checkHost(&h, seen); err != nil {
			return nil, fmt.Errorf("%s: items[%d]: %w", source, i, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// hostLines reads a name on each line, and the version after it if there is one.
func hostLines(source, text string) ([]simulate.Host, error) {
	var hosts []simulate.Host
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		h := simulate.Host{Name: words[0], Agent: true}
		if len(words) > 1 {
			h.Version = words[1]
		}
		if len(words) > 2 {
			return nil, fmt.Errorf("%s:%d: must be the name of a host, and optionally its version", source, number)
		}
		if err := checkHost(&h, seen); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", source, number, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// checkHost validates a host, and refuses a second one of the same name.
func checkHost(h *simulate.Host, seen map[string]bool) error {
	if h.Version == "" {
		h.Version = unknownVersion
	}
	switch {
	case !keys.ValidSegment(h.Name):
		return fmt.Errorf("%q is not a valid host name", h.Name)
	case keys.ValidVersion(h.Version) != "":
		return fmt.Errorf("version %q %s", h.Version, keys.ValidVersion(h.Version))
	case seen[h.Name]:
		return fmt.Errorf("host %q is listed twice", h.Name)
	}
	seen[h.Name] = true
	return nil
}
