package httpsec

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Hosts is a list of the names of a server. It is immutable and safe for
// concurrent use. The zero value has no name.
type Hosts struct {
	any      bool
	patterns []pattern
}

// NewHosts parses a list of hosts. An entry is one of
//
//   - broker.example.com: that host, with any port.
//   - broker.example.com:8443: that host with that port. A Host header without
//     a port has the port 80 or 443.
//   - *.example.com: every host below example.com, but not example.com. It can
//     have a port, too.
//   - *: every host.
//
// Case and a dot at the end have no meaning. A host with non-ASCII letters
// means its punycode form, which browsers send. The error names the entry and
// its problem.
func NewHosts(entries []string) (Hosts, error) {
	var h Hosts
	for _, text := range entries {
		if err := h.add(text); err != nil {
			return Hosts{}, fmt.Errorf("%q is %w; write *. before a host for every host below it, or * for all hosts", text, err)
		}
	}
	return h, nil
}

var (
	errHost      = errors.New("not a host such as broker.example.com or broker.example.com:8443")
	errHostLabel = errors.New("not a host that can be compared: write it as browsers send it, in the form xn--… (punycode)")
)

func (h *Hosts) add(text string) error {
	if text == "*" {
		h.any = true
		return nil
	}
	host, port, err := parseHostPort(text)
	name, below := strings.CutPrefix(host, "*.")
	switch {
	case errors.Is(err, errLabel):
		return errHostLabel
	case strings.Contains(text, "://"):
		return errors.New("an origin, and not a host: leave out the scheme")
	case err != nil || name == "" || strings.Contains(name, "*"):
		return errHost
	case below:
		host = "." + name
	}
	if port == "" {
		port = "*"
	}
	h.patterns = append(h.patterns, pattern{host: host, port: port})
	return nil
}

// Empty reports whether the list has no entry.
func (h *Hosts) Empty() bool { return !h.any && len(h.patterns) == 0 }

// Any reports whether the list has "*".
func (h *Hosts) Any() bool { return h.any }

// Name reports whether a Host header matches an entry other than "*".
func (h *Hosts) Name(header string) bool {
	host, port, err := parseHostPort(header)
	if err != nil || host == "" || port == "*" || strings.Contains(host, "*") {
		return false
	}
	return slices.ContainsFunc(h.patterns, func(p pattern) bool {
		return p.names(host) && (p.port == "*" || p.port == port || port == "" && (p.port == "80" || p.port == "443"))
	})
}

// AddressHost reports whether a Host header is an IP address, with or without a
// port. No other site can have such an origin by DNS rebinding, because a
// browser does not resolve an address.
func AddressHost(header string) bool {
	host, _, err := parseHostPort(header)
	if err != nil {
		return false
	}
	_, err = netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// parseHostPort returns the host of a Host header in the form in which hosts are
// compared, without the dot at the end of an absolute name, and its port.
func parseHostPort(header string) (host, port string, err error) {
	host, port, err = splitPort(header)
	if err == nil {
		host, err = parseHost(host)
	}
	return strings.TrimSuffix(host, "."), port, err
}
