package httpsec

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Origin is a web origin (RFC 6454) in the form in which browsers send it: small
// letters, no default port, the host in punycode. Equal origins are ==. The zero
// value stands for a request without one.
type Origin struct{ scheme, host, port string }

// Null is the origin of pages that have none of their own, which browsers send
// as "null": a sandboxed frame, a file, a data: URL. A page of any site can make
// itself such a page.
var Null = Origin{scheme: "null"}

// String returns o as browsers write it, "" for the zero value.
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

// Loopback reports whether o is a page that this machine serves, whatever the
// scheme and the port.
func (o Origin) Loopback() bool { return loopback(o.host) }

var errOrigin = errors.New("not an origin such as https://app.example.com")

// Parse reads an origin: a scheme, "://", a host, and a port if it is not the
// scheme's own. Nothing may follow, not even a slash. The host may be empty
// where the scheme is an app's own or "file". "null" is an error.
func Parse(text string) (Origin, error) {
	o, err := parse(text)
	if err == nil && (strings.Contains(o.host, "*") || o.port == "*") {
		return Origin{}, errOrigin
	}
	return o, err
}

// maxOrigin is the longest text that is taken for an origin, in bytes: a host has
// 255 at most.
const maxOrigin = 512

// parse is Parse, and takes the * of the entries of a list.
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

// web reports whether o has a scheme of the web.
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

// splitPort takes the port off a host. "*" is a port for [NewList].
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

// parseHost returns a host as it is compared.
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

// RequestOrigin returns the origin of the page that sent a request, the zero
// Origin if there is no Origin header: then no page sent it, or a browser that
// sees no need to say so. It is an error if the header is not one origin.
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

// SameHost reports whether a page of o asks the host that it was loaded from: the
// host and the port of o are those of the Host header. The scheme is not compared,
// because a proxy that ends TLS may be in between. SecureSameHost compares it where
// it is known.
func SameHost(o Origin, r *http.Request) bool {
	if !o.web() {
		return false
	}
	own, err := Parse(o.scheme + "://" + r.Host)
	return err == nil && own == o
}

// SecureSameHost is SameHost, and the page has come over TLS if the request has.
func SecureSameHost(o Origin, r *http.Request) bool {
	return SameHost(o, r) && (r.TLS == nil || o.Secure())
}
