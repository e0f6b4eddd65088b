package httpsec

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Origin is a web origin (RFC 6454) in the form that browsers send: lower case,
// no default port, the host in punycode. Equal origins are ==. The zero value
// means a request without an origin.
type Origin struct{ scheme, host, port string }

// Null is the origin that browsers send as "null", for pages without an origin
// of their own: a sandboxed frame, a file, a data: URL. A page of any site can
// turn itself into such a page.
var Null = Origin{scheme: "null"}

// String returns o as browsers write it, or "" for the zero value.
func (o Origin) String() string {
	switch {
	case o == Null:
		return "null"
	case o.scheme == "":
		return ""
	case o.port != "":
		return o.scheme + "://" + o.host + ":" + o.port
	}
	return o.scheme + "://" + o.host
}

// Loopback reports whether o is on this machine, whatever its scheme and port.
func (o Origin) Loopback() bool { return loopback(o.host) }

var errOrigin = errors.New("not an origin such as https://app.example.com")

// Parse parses an origin: a scheme, "://", a host, and a port if it is not the
// scheme's default. Nothing may follow, not even a slash. The host may be empty
// if the scheme is an app's own or "file". "null" is an error.
func Parse(text string) (Origin, error) {
	o, err := parse(text)
	if err == nil && (strings.Contains(o.host, "*") || o.port == "*") {
		return Origin{}, errOrigin
	}
	return o, err
}

// maxOrigin is the maximum length of an origin's text, in bytes. A host has at
// most 255.
const maxOrigin = 512

// parse is Parse, but also accepts the wildcards of a list's entries.
func parse(text string) (Origin, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	o := Origin{scheme: strings.ToLower(scheme)}
	if !ok || len(text) > maxOrigin || !validScheme(o.scheme) {
		return Origin{}, errOrigin
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return Origin{}, err
	}
	if o.host, err = parseHost(host); err != nil {
		return Origin{}, err
	}
	if o.host == "" && (o.web() || port != "") {
		return Origin{}, errOrigin
	}
	if port != defaultPort(o.scheme) {
		o.port = port
	}
	return o, nil
}

// Secure reports whether a page of o was loaded over TLS.
func (o Origin) Secure() bool { return o.scheme == "https" || o.scheme == "wss" }

// web reports whether o has a web scheme.
func (o Origin) web() bool { return defaultPort(o.scheme) != "" }

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

func validScheme(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return s != "" && strings.Contains(letters, s[:1]) && strings.Trim(s, letters+"0123456789+-.") == ""
}

// splitPort splits a host and its port. "*" is a port for [NewList].
func splitPort(text string) (host, port string, err error) {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 || strings.HasSuffix(text, "]") {
		return text, "", nil
	}
	host, port = text[:colon], text[colon+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if port != "*" && (err != nil || strconv.FormatUint(n, 10) != port) {
		return "", "", errOrigin
	}
	return host, port, nil
}

// parseHost returns a host in the form in which hosts are compared.
func parseHost(host string) (string, error) {
	if len(host) > maxOrigin {
		return "", errOrigin
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", errOrigin
		}
		return "[" + addr.String() + "]", nil
	}
	labels := strings.Split(strings.ToLower(host), ".")
	for i, label := range labels {
		ascii, err := toASCII(label)
		if err != nil {
			return "", err
		}
		if strings.Trim(ascii, "abcdefghijklmnopqrstuvwxyz0123456789-_*") != "" {
			return "", errOrigin
		}
		labels[i] = ascii
	}
	return strings.Join(labels, "."), nil
}

// RequestOrigin returns the origin of the page that sent a request, or the zero
// Origin without an Origin header: then no page sent the request, or the
// browser sends no Origin for it. It returns an error if the header is not
// exactly one origin.
func RequestOrigin(r *http.Request) (Origin, error) {
	all := r.Header.Values("Origin")
	switch {
	case len(all) == 0:
		return Origin{}, nil
	case len(all) > 1:
		return Origin{}, errors.New("more than one Origin")
	case all[0] == "null":
		return Null, nil
	}
	return Parse(all[0])
}

// SameHost reports whether a page of o sent the request to the host that the
// page was loaded from: the Host header has the host and the port of o. It does
// not compare the scheme, because a proxy may end TLS. SecureSameHost compares
// it where it is known.
func SameHost(o Origin, r *http.Request) bool {
	if !o.web() {
		return false
	}
	own, err := Parse(o.scheme + "://" + r.Host)
	return err == nil && own == o
}

// SecureSameHost is SameHost, and requires a page loaded over TLS if the
// request used TLS.
func SecureSameHost(o Origin, r *http.Request) bool {
	return SameHost(o, r) && (r.TLS == nil || o.Secure())
}
