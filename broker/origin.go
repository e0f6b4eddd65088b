package broker

import (
	"net/http"
	"net/url"
	"strings"
)

// origins are the web origins that may connect (RFC 6455 section 10.2): a page
// of any site can open a WebSocket to any other, cookies included, and only
// this header tells.
type origins struct {
	any   bool
	exact map[string]bool // "https://app.example.com:8443", default ports left out
	below []originPattern
}

// originPattern is "https://*.example.com".
type originPattern struct{ scheme, suffix string }

func compileOrigins(list []string) (origins, error) {
	o := origins{exact: make(map[string]bool)}
	for _, s := range list {
		if s == "*" {
			o.any = true
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			return o, badOption("Origins", "%q is not an origin such as https://app.example.com", s)
		}
		scheme, host := canonical(u)
		if rest, ok := strings.CutPrefix(host, "*."); ok {
			if rest == "" || strings.Contains(rest, "*") {
				return o, badOption("Origins", "%q: only the first label may be *", s)
			}
			o.below = append(o.below, originPattern{scheme, "." + rest})
			continue
		}
		if strings.Contains(host, "*") {
			return o, badOption("Origins", "%q: only the first label may be *", s)
		}
		o.exact[scheme+"://"+host] = true
	}
	return o, nil
}

// canonical returns scheme and host as they are compared.
func canonical(u *url.URL) (scheme, host string) {
	scheme, host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme, host
}

// allow reports whether the request's Origin may connect. A request without one
// does not come from a page.
func (o *origins) allow(r *http.Request) bool {
	all := r.Header.Values("Origin")
	if len(all) == 0 || o.any {
		return true
	}
	u, err := url.Parse(all[0])
	if len(all) > 1 || err != nil || u.Host == "" {
		return false // "null", or nothing a browser sends
	}
	scheme, host := canonical(u)
	if len(o.exact)+len(o.below) == 0 {
		// Our own pages. The scheme is not compared: behind a proxy that ends
		// TLS we do not know ours.
		_, own := canonical(&url.URL{Scheme: scheme, Host: r.Host})
		return host == own
	}
	if o.exact[scheme+"://"+host] {
		return true
	}
	for _, p := range o.below {
		if scheme == p.scheme && strings.HasSuffix(host, p.suffix) && len(host) > len(p.suffix) {
			return true
		}
	}
	return false
}
