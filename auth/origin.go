package auth

import (
	"fmt"
	"net/url"
	"strings"
)

// origin is a web origin (RFC 6454) in the form in which browsers send it: small letters, no default port.
type origin struct{ scheme, host string }

func (o origin) String() string { return o.scheme + "://" + o.host }

// parseOrigin rejects "null", which is the origin of pages that have none.
func parseOrigin(text string) (o origin, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.ContainsAny(text, "?#@") ||
		u.Path != "" || u.Opaque != "" {
		return origin{}, false
	}
	o = origin{strings.ToLower(u.Scheme), strings.ToLower(u.Host)}
	switch o.scheme {
	case "http":
		o.host = strings.TrimSuffix(o.host, ":80")
	case "https":
		o.host = strings.TrimSuffix(o.host, ":443")
	}
	return o, true
}

// origins are those that [HandlerOptions.Origins] allows.
type origins struct {
	any   bool
	exact map[origin]bool
	below []origin // the host is a suffix: ".example.com"
}

func parseOrigins(list []string) (origins, error) {
	all := origins{exact: make(map[origin]bool)}
	for _, text := range list {
		if text == "*" {
			all.any = true
			continue
		}
		o, ok := parseOrigin(text)
		suffix, pattern := strings.CutPrefix(o.host, "*.")
		if !ok || strings.Contains(suffix, "*") || suffix == "" {
			return origins{}, fmt.Errorf("auth: HandlerOptions.Origins: %q is not an origin such as https://app.example.com or https://*.example.com", text)
		}
		if pattern {
			all.below = append(all.below, origin{o.scheme, "." + suffix})
			continue
		}
		all.exact[o] = true
	}
	return all, nil
}

func (all *origins) allow(o origin) bool {
	if all.any || all.exact[o] {
		return true
	}
	for _, p := range all.below {
		if o.scheme == p.scheme && len(o.host) > len(p.host) && strings.HasSuffix(o.host, p.host) {
			return true
		}
	}
	return false
}
