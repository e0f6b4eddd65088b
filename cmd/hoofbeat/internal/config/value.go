package config

import (
	"encoding"
	"errors"
	"fmt"
	"net"
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

// kind is a kind of texts.
type kind struct {
	name  string // in words, such as "url"; that of a list is "list"
	want  string // the accepted values in words
	check func(string) error
}

// kinds are the kinds that a tag can name, of a text or of the items of a list.
var kinds = map[string]kind{
	"":                {"text", "a text", anything},
	"broker":          {"text", wantBroker, compatible},
	"cookie":          {"text", "letters, digits, - and _", cookieName},
	"cookie or empty": {"text", "letters, digits, - and _, or empty", optional(cookieName)},
	"events":          {"text", "handshake, connect, renew, subscribe, send and wait", event},
	"fetch name":      {"text", "1 to 64 of a-z, 0-9, - and _", fetchName},
	"file":            {"file", "the name of a file", anything},
	"granted url":     {"url", "a URL such as https://mail.example.com/api/unread, or http to this machine", grantedURL},
	"hosts":           {"text", "hosts such as broker.example.com, broker.example.com:8443 or *.example.com, or *", host},
	"nats urls":       {"text", wantNATS, natsURL},
	"networks":        {"list", wantNetworks, nil},
	"node name":       {"text", wantNodeName, nodeName},
	"origins":         {"text", "origins such as https://app.example.com, https://*.example.com or http://localhost:*, or *", origin},
	"path":            {"path", "a path such as /ws", urlPath},
	"peers":           {"text", wantPeers, peerAddress},
	"prefix":          {"text", wantPrefix, natsPrefix},
	"queue patterns":  {"text", "patterns that begin with /queue/", queuePattern},
	"replicas":        {"text", wantReplicas, nil},
	"reserve":         {"text", wantReserve, nil},
	"results":         {"text", "texts of 1 to 64 printable bytes, such as CONFIRMED", result},
	"secret":          {"secret", "a secret", anything},
	"session events":  {"text", "connected, disconnected, subscribed and unsubscribed", sessionEvent},
	"sync":            {"text", wantSync, nil},
	"token":           {"secret", "16 characters or more", bearerToken},
	"url":             {"url", "a URL such as https://login.example.com, or http to this machine", webURL},
	"websocket url":   {"url", "a URL such as wss://one.example.com/ws", socketURL},
}

// word is a text of a kind.
type word struct {
	p *string
	kind
}

func (w word) Set(s string) error {
	if err := w.check(s); err != nil {
		return err
	}
	*w.p = s
	return nil
}

func (w word) String() string { return *w.p }
func (w word) Type() string   { return w.name }
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
		return wrong(s, a.Want())
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
		return wrong(s, c.Want())
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
		return wrong(s, b.Want())
	}
	*b.p = s == "true"
	return nil
}

func (b boolean) String() string { return strconv.FormatBool(*b.p) }
func (b boolean) Type() string   { return "bool" }
func (b boolean) Want() string   { return "true or false" }

// list is several texts of a kind, separated by commas.
type list struct {
	p *[]string
	kind
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

// text is a value of a type of its own.
type text struct {
	p textValue
	kind
}

type textValue interface {
	encoding.TextUnmarshaler // its error names the value and what is wanted
	encoding.TextMarshaler
}

func (t text) Set(s string) error { return t.p.UnmarshalText([]byte(s)) }

func (t text) String() string {
	s, err := t.p.MarshalText()
	if err != nil {
		return err.Error()
	}
	return string(s)
}

func (t text) Type() string { return t.name }
func (t text) Want() string { return t.want }

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

func wrong(s, want string) error { return fmt.Errorf("%q is not accepted: want %s", s, want) }

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

// bearerToken does not repeat the secret.
func bearerToken(s string) error {
	switch {
	case len(s) < minToken:
		return fmt.Errorf("has %d characters, want %d or more", len(s), minToken)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("has a character that an Authorization header cannot carry: want letters, digits and punctuation")
	}
	return nil
}
