// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	// unknownVersion is what a host has of which the file says none.
	unknownVersion = "before"
	// maxHostsFile bounds a file that tells of hosts, in bytes.
	maxHostsFile = 256 << 20
)

// readHosts reads the hosts of a file: a line each, or what get hosts -o json printed.
func (c *cli) readHosts(path string) ([]simulate.Host, error) {
	data, source, err := c.readUpTo(path, maxHostsFile)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return hostList(source, data)
	}
	return hostLines(source, string(data))
}

// hostList reads what get hosts -o json printed.
func hostList(source string, data []byte) ([]simulate.Host, error) {
	var list List[describe.Host]
	if err := json.Unmarshal(data, &list); err != nil || list.Kind != "HostList" {
		return nil, fmt.Errorf("%s: must be what `upgradectl get hosts -o json` prints, or a line for each host", source)
	}
	hosts, seen := make([]simulate.Host, 0, len(list.Items)), map[string]bool{}
	for i, item := range list.Items {
		h := simulate.Host{Name: item.Name, Version: item.Version, Agent: item.Agent}
		if item.Report != nil {
			h.Role = item.Report.Role
		}
		if err := checkHost(&h, seen); err != nil {
			return nil, fmt.Errorf("%s: items[%d]: %w", source, i, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// hostLines reads a name on each line, and a version if there is one.
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
			return nil, fmt.Errorf("%s:%d: must be the name of a host, and its version if need be", source, number)
		}
		if err := checkHost(&h, seen); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", source, number, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

func checkHost(h *simulate.Host, seen map[string]bool) error {
	if h.Version == "" {
		h.Version = unknownVersion
	}
	switch {
	case !keys.ValidSegment(h.Name):
		return fmt.Errorf("%q is no name of a host", h.Name)
	case keys.ValidVersion(h.Version) != "":
		return fmt.Errorf("version %q %s", h.Version, keys.ValidVersion(h.Version))
	case seen[h.Name]:
		return fmt.Errorf("host %q stands there already", h.Name)
	}
	seen[h.Name] = true
	return nil
}
