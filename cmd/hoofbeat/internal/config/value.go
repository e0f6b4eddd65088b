package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/topics"
)

// value is one setting behind a pointer, read from and written as text. It has
// the methods of pflag.Value. Set's errors name the value and what is wanted.
type value interface {
	Set(string) error
	String() string
	Type() string // in words for the documentation, such as "size"
	Want() string // the accepted values in words
}

// word is free text that check accepts.
type word struct {
	p          *string
	kind, want string
	check      func(string) error
}

func (w word) Set(s string) error {
	if err := w.check(s); err != nil {
		return err
	}
	*w.p = s
	return nil
}

func (w word) String() string { return *w.p }
func (w word) Type() string   { return w.kind }
func (w word) Want() string   { return w.want }

// address is host:port, or off, which is stored as "". If it may be the file of a
// Unix socket, that is unix:/path.
type address struct {
	p    *string
	unix bool
}

// UnixPrefix begins an address that is the file of a Unix socket.
const UnixPrefix = "unix:"

// maxSocketName is the longest name of a socket on every system that has them.
const maxSocketName = 103

func (a address) Set(s string) error {
	if s == "off" || s == "" {
		*a.p = ""
		return nil
	}
	if name, ok := strings.CutPrefix(s, UnixPrefix); ok && a.unix {
		if !filepath.IsAbs(name) || len(name) > maxSocketName || strings.ContainsRune(name, 0) {
			return fmt.Errorf("%q is not accepted: want %s and an absolute path of at most %d bytes", s, UnixPrefix, maxSocketName)
		}
		*a.p = s
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " /") {
		return wrong(s, a)
	}
	*a.p = s
	return nil
}

func (a address) String() string {
	if *a.p == "" {
		return "off"
	}
	return *a.p
}

func (a address) Type() string { return "address" }
func (a address) Want() string {
	if a.unix {
		return "host:port such as 127.0.0.1:8080, :8080 for every interface, unix:/run/hoofbeat/ws.sock, or off"
	}
	return "host:port such as 127.0.0.1:8080, :8080 for every interface, or off"
}

// choice is one of a few words.
type choice struct {
	p     *string
	words []string
}

func (c choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return wrong(s, c)
	}
	*c.p = s
	return nil
}

func (c choice) String() string { return *c.p }
func (c choice) Type() string   { return "word" }
func (c choice) Want() string {
	return strings.Join(c.words[:len(c.words)-1], ", ") + " or " + c.words[len(c.words)-1]
}

// boolean is true or false, and nothing else that could be meant otherwise.
type boolean struct{ p *bool }

func (b boolean) Set(s string) error {
	if s != "true" && s != "false" {
		return wrong(s, b)
	}
	*b.p = s == "true"
	return nil
}

func (b boolean) String() string { return strconv.FormatBool(*b.p) }
func (b boolean) Type() string   { return "bool" }
func (b boolean) Want() string   { return "true or false" }

// list is several texts, separated by commas; check accepts each.
type list struct {
	p     *[]string
	want  string
	check func(string) error
}

func (l list) Set(s string) error {
	items := split(s)
	for _, item := range items {
		if err := l.check(item); err != nil {
			return err
		}
	}
	*l.p = items
	return nil
}

func (l list) String() string { return strings.Join(*l.p, ",") }
func (l list) Type() string   { return "list" }
func (l list) Want() string   { return l.want }

// prefixes are networks; a bare address is a network of one. The word unix stands
// for Unix sockets.
type prefixes struct {
	p    *[]netip.Prefix
	unix *bool
}

func (n prefixes) Set(s string) error {
	var all []netip.Prefix
	unix := false
	for _, item := range split(s) {
		if item == "unix" {
			unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			ip, err := netip.ParseAddr(item)
			if err != nil || ip.Zone() != "" {
				return wrong(item, n)
			}
			prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
		all = append(all, prefix.Masked())
	}
	*n.p, *n.unix = all, unix
	return nil
}

func (n prefixes) String() string {
	items := make([]string, len(*n.p))
	for i, prefix := range *n.p {
		items[i] = prefix.String()
	}
	if *n.unix {
		items = append(items, "unix")
	}
	return strings.Join(items, ",")
}

func (n prefixes) Type() string { return "list" }
func (n prefixes) Want() string { return "networks such as 10.0.0.0/8, addresses, or unix" }

// split cuts a list at its commas; the empty text is the empty list.
func split(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	items := strings.Split(s, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

func wrong(s string, v value) error { return fmt.Errorf("%q is not accepted: want %s", s, v.Want()) }

// The checks of words and list items.

func anything(string) error { return nil }

func urlPath(s string) error {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?#{} ") {
		return fmt.Errorf("%q is not accepted: want a path such as /ws", s)
	}
	return nil
}

func origin(s string) error {
	if _, err := httpsec.NewList([]string{s}); err != nil {
		return fmt.Errorf("%q is not accepted: %w; want an origin such as https://app.example.com, https://*.example.com or http://localhost:*, or * for all", s, err)
	}
	return nil
}

func host(s string) error {
	_, err := httpsec.NewHosts([]string{s})
	return err
}

// webURL accepts what everybody who sends secrets there accepts: https, or http to
// this machine. The rest is for them to check.
func webURL(s string) error {
	u, err := url.Parse(s)
	if s == "" || err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http") {
		return nil
	}
	return errors.New("is not accepted: want a URL such as https://login.example.com/path")
}

func socketURL(s string) error {
	u, err := url.Parse(s)
	if err == nil && u.Host != "" && u.User == nil && (u.Scheme == "wss" || u.Scheme == "ws") {
		return nil
	}
	return fmt.Errorf("%q is not accepted: want a URL such as wss://one.example.com/ws", s)
}

// queuePattern does not know the prefixes of queues: check does.
func queuePattern(s string) error {
	if _, err := topics.Compile(s); err != nil {
		return notQueuePattern(s)
	}
	return nil
}

func notQueuePattern(s string) error {
	return fmt.Errorf("%q is not accepted: want a pattern such as /queue/*-user*, and not of /queue/DLQ., which are kept", s)
}

func event(s string) error {
	if slices.Contains([]string{"handshake", "connect", "renew", "subscribe", "send", "wait"}, s) {
		return nil
	}
	return fmt.Errorf("%q is not accepted: want handshake, connect, renew, subscribe, send or wait", s)
}

func cookieName(s string) error {
	if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return fmt.Errorf("%q is not accepted: want letters, digits, - and _", s)
	}
	return nil
}

// optional accepts what check accepts, and nothing at all.
func optional(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

const minToken = 16

// token does not repeat the secret.
func token(s string) error {
	switch {
	case len(s) < minToken:
		return fmt.Errorf("has %d characters, want %d or more", len(s), minToken)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("has a character that an Authorization header cannot carry: want letters, digits and punctuation")
	}
	return nil
}
