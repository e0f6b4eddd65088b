package httpsec

import (
	"errors"
	"net/url"
	"strings"
)

// Errors of [AbsoluteURL] and [SecureURL]. They do not contain the URL, because
// it may contain a secret.
var (
	ErrURL      = errors.New("is not an absolute https URL without user, password and fragment")
	ErrInsecure = errors.New("is neither https nor http to loopback")
)

// AbsoluteURL parses an http or https URL that has a host, and neither a user
// nor a fragment. The error is [ErrURL].
func AbsoluteURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, ErrURL
	}
	return u, nil
}

// SecureURL parses an absolute URL to which a secret may be sent: https, or
// http to loopback. The error is [ErrURL] or [ErrInsecure].
func SecureURL(text string) (*url.URL, error) {
	u, err := AbsoluteURL(text)
	if err != nil {
		return nil, err
	}
	if !Secure(u) {
		return nil, ErrInsecure
	}
	return u, nil
}

// Secure reports whether requests to u cannot be read on the network: the
// scheme is https, or it is http and the host is this machine.
func Secure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && Loopback(u.Hostname())
}

// Loopback reports whether a host without a port is this machine: localhost, a
// name below localhost (RFC 6761 section 6.3), or an address of the loopback
// interface, including IPv4-mapped ones. An IPv6 address may have brackets.
func Loopback(host string) bool { return loopback(strings.ToLower(host)) }
