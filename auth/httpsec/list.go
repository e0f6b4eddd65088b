package httpsec

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// List is a list of allowed origins. It is immutable and safe for concurrent
// use. The zero value allows none.
type List struct {
	any      bool
	exact    map[Origin]bool
	patterns []pattern
	anybody  string // the first entry that any site's pages can match
}

// pattern is an entry with a wildcard.
type pattern struct {
	scheme string
	host   string // ".example.com" for all hosts below it
	port   string // "*" for any
}

// NewList parses a list of origins. An entry is one of
//
//   - https://app.example.com or http://dev.example.com:3000: that origin.
//     A host with non-ASCII letters means its punycode form, which browsers
//     send.
//   - https://*.example.com: every host below example.com, but not
//     example.com.
//   - http://localhost:*: that host with any port. It can be combined with
//     *. too.
//   - capacitor://localhost, ionic://localhost, tauri://localhost: an app's
//     own scheme. Without a host, myapp:// is the origin with exactly that
//     text.
//   - file://: pages from files, in browsers that send this in a WebSocket
//     handshake.
//   - null: pages without an origin, see [Null].
//   - *: every page.
//
// The error names the entry and its problem.
func NewList(entries []string) (List, error) {
	l := List{exact: make(map[Origin]bool)}
	for _, text := range entries {
		if err := l.add(text); err != nil {
			return List{}, fmt.Errorf("%q is %w; write *. before a host for every host below it, :* for any port, or * for all pages", text, err)
		}
	}
	return l, nil
}

func (l *List) add(text string) error {
	if text == "*" || text == "null" || strings.EqualFold(text, "file://") {
		if l.anybody == "" {
			l.anybody = text
		}
		l.any = l.any || text == "*"
	}
	switch text {
	case "*":
		return nil
	case "null":
		l.exact[Null] = true
		return nil
	}
	o, err := parse(text)
	if err != nil {
		return err
	}
	host, below := strings.CutPrefix(o.host, "*.")
	if strings.Contains(host, "*") || below && host == "" {
		return errors.New("not an origin: * may only be the first label of a host, as in https://*.example.com")
	}
	switch {
	case below:
		l.patterns = append(l.patterns, pattern{o.scheme, "." + host, o.port})
	case o.port == "*":
		l.patterns = append(l.patterns, pattern{o.scheme, host, o.port})
	default:
		l.exact[o] = true
	}
	return nil
}

// Empty reports whether the list has no entry.
func (l *List) Empty() bool { return !l.any && len(l.exact)+len(l.patterns) == 0 }

// Any reports whether the list has "*". It then allows every request, even one
// with an unreadable Origin header.
func (l *List) Any() bool { return l.any }

// Anybody returns the first entry that any site's pages can match: "*", "null"
// or "file://", or "" if there is none. Do not combine a list with such an
// entry with cookies.
func (l *List) Anybody() string { return l.anybody }

// Allow reports whether the list allows o. Only "*" allows the zero Origin.
func (l *List) Allow(o Origin) bool {
	return l.any || l.exact[o] || slices.ContainsFunc(l.patterns, func(p pattern) bool {
		return p.scheme == o.scheme && p.names(o.host) && (p.port == "*" || p.port == o.port)
	})
}

// names reports whether the pattern matches a host.
func (p pattern) names(host string) bool {
	if strings.HasPrefix(p.host, ".") {
		return len(host) > len(p.host) && strings.HasSuffix(host, p.host)
	}
	return host == p.host
}

// AllowOrOwn reports whether a page of o may send a request: the list allows o,
// or o has the host that the request was sent to. The latter does not apply to
// a page without TLS if the request used TLS, or if the list has that host with
// other schemes only.
func (l *List) AllowOrOwn(o Origin, r *http.Request) bool {
	return l.Allow(o) || SecureSameHost(o, r) && !l.otherwise(o)
}

// otherwise reports whether the list has the host of o, but not with its
// scheme.
func (l *List) otherwise(o Origin) bool {
	named, same := false, false
	l.hosts(o.host, func(scheme string) {
		named = true
		same = same || scheme == o.scheme
	})
	return named && !same
}

// NamesHost reports whether the host of a Host header matches an entry,
// whatever its scheme and port. A dot at the end of either has no meaning.
func (l *List) NamesHost(host string) bool {
	host, _, err := parseHostPort(host)
	found := false
	if err == nil && host != "" {
		for _, name := range []string{host, host + "."} {
			l.hosts(name, func(string) { found = true })
		}
	}
	return found
}

// hosts calls f with the scheme of each entry that matches the host.
func (l *List) hosts(host string, f func(scheme string)) {
	for o := range l.exact {
		if o.host == host {
			f(o.scheme)
		}
	}
	for _, p := range l.patterns {
		if p.names(host) {
			f(p.scheme)
		}
	}
}
