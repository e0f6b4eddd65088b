package httpsec

import (
	"errors"
	"net/url"
	"strings"
)

// The errors of [AbsoluteURL] and [SecureURL]. They do not have the URL in them,
// for there may be a secret in it.
var (
	ErrURL      = errors.New("is not an absolute https URL without user, password and fragment")
	ErrInsecure = errors.New("is neither https nor http to loopback")
)

// AbsoluteURL parses an http or https URL that has a host, and neither a user nor a
// fragment. The error is [ErrURL].
func AbsoluteURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, ErrURL
	}
	return u, nil
}

// SecureURL parses an absolute URL that a secret may be sent to: https, or http to
// loopback. The error is [ErrURL] or [ErrInsecure].
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

// Secure reports whether nobody on the way can read what is sent to u: the scheme
// is https, or it is http and the host is this machine.
func Secure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && Loopback(u.Hostname())
}

// Loopback reports whether a host without a port, an IPv6 address with or without
// brackets, is this machine: localhost, a name below localhost (RFC 6761 section
// 6.3), or an address of the loopback interface, IPv4-mapped ones included.
func Loopback(host string) bool { return loopback(strings.ToLower(host)) }
