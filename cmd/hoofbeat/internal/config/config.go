// Package config is the configuration of the hoofbeat binary: one struct, and
// one table that gives every key its default, its range, its documentation and
// its names in the file, the environment and on the command line. The default
// file, the documentation and the errors all come from that table.
//
//	c, err := config.Load(config.Sources{File: "hoofbeat.yaml", Env: os.Environ()})
//	if err != nil {
//		return err // every bad key, each with its place
//	}
//	listen(c.Listen)
//
// A flag beats the environment, the environment beats the file, the file beats
// the default. Nothing is guessed: unknown keys and unknown HOOFBEAT_ variables
// are errors that name the nearest one.
package config

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Off is the value of a number, size or duration whose limit the operator
// switched off (`off` in the file). It is what broker.Options call off, too.
const Off = -1

// Config is the whole configuration. What each field means, its default and its
// range are in the table of keys.go, from which `hoofbeat config docs` prints
// them. Limits are positive, or [Off]; an address of a listener that is off is "".
type Config struct {
	Listen         string
	Admin          string
	TCP            string
	AdminToken     string // a secret: only from the environment
	AdminTokenFile string
	AdminPprof     bool
	Node           string
	Nodes          []Node
	SockJS         bool
	SockJSCookie   string // "" is none
	Selectors      bool
	Compatibility  string // "" or "spring"

	TLS          TLS
	WebSocket    WebSocket
	HeartBeat    HeartBeat
	Limits       Limits
	Queues       Queues
	Destinations Destinations
	Auth         Auth
	WebFlow      WebFlow
	Rules        []Rule
	Log          Log
	Drain        Drain

	warnings []string
	places   map[string]string // where each key was given that was
}

// Warnings returns warnings about the sources of the configuration, one line each.
func (c *Config) Warnings() []string { return c.warnings }

// Given reports whether a key was given in the file, the environment or on the
// command line, at its default or not.
func (c *Config) Given(path string) bool { return c.places[path] != "" }

// Node is one item of nodes.
type Node struct{ ID, URL string }

// TLS is the section tls.
type TLS struct{ Cert, Key, ClientCA string }

// WebSocket is the section websocket.
type WebSocket struct {
	Path        string
	Origins     []string
	Hosts       []string
	Compression bool
}

// Destinations is the section destinations: the prefixes of each kind.
type Destinations struct {
	Topic, Queue, App []string
	User              string
}

// HeartBeat is the section heartbeat.
type HeartBeat struct{ Send, Expect, Patience, Ping time.Duration }

// Limits is the section limits; sizes are bytes.
type Limits struct {
	Frame                     int
	UnauthenticatedFrame      int
	Headers                   int
	HeaderBytes               int
	Subscriptions             int
	Transactions              int
	TransactionFrames         int
	TransactionBytes          int
	SubscriptionBytes         int
	SlowPatterns              int
	SlowPatternsPerUser       int
	SelectorsPerUser          int
	InFlight                  int
	InFlightBytes             int
	Unacknowledged            int
	DedupIDs                  int
	DedupIDsPerUser           int
	Outbox                    int
	ConnectDeadline           time.Duration
	WriteDeadline             time.Duration
	Unauthenticated           int
	UnauthenticatedPerAddress int
	Connections               int
	ConnectionsPerAddress     int
	Sessions                  int
	SessionsPerUser           int
	SessionsPerAddress        int
	SockJSSessions            int
	FetchedAnswer             int
	FetchedAnswers            int64
	NUL                       string // "replace", "refuse" or "pass"
	LoginFailures             int
	AddressFailures           int
	FailureWait               time.Duration
	FailureDecay              time.Duration
}

// Queues is the section queues; Mode is "work" or "broadcast", Transient are
// patterns.
type Queues struct {
	Mode       string
	Messages   int
	Bytes      int64
	Attempts   int
	Queues     int
	TotalBytes int64

	QueuesPerUser int
	BytesPerUser  int64

	Prefetch  int
	Transient []string
}

// WebFlow is the section webflow; Registration is "auto", "announced" or "open",
// Reply "full" or "minimal", Policy "first_wins" or "last_wins". InterimResults
// returns what Interim means.
type WebFlow struct {
	Enabled       bool
	Registration  string
	Reply         string
	Policy        string
	TTL           time.Duration
	Grace         time.Duration
	HMACKey       Secret
	Results       []string
	Interim       []string
	ExpiredResult string
	MaxOperations int

	MaxOperationsPerUser int

	Events WebFlowEvents
}

// WebFlowEvents is the section webflow.events.
type WebFlowEvents struct {
	URL       string
	Secret    Secret
	AllowHTTP bool
}

// Log is the section log; Format is "auto", "text" or "json".
type Log struct {
	Level    slog.Level
	Format   string
	Sessions string // "info", "debug" or "off"
}

// Drain is the section drain.
type Drain struct{ Timeout, Delay, Spread time.Duration }

// Default returns the configuration without file, environment and flags.
func Default() *Config {
	c := new(Config)
	bind(c)
	return c
}

// Development reports whether the broker runs in development mode: it listens on
// loopback only and no authentication is configured. Anyone on this machine can
// then connect, and logins are not checked.
func (c *Config) Development() bool {
	return !c.Authenticated() && !c.Auth.Anonymous && loopback(c.Listen) && loopback(c.TCP)
}

// Rebindable reports whether a page of any site could connect by DNS rebinding:
// clients need no credential, the public listener may be in a private network, TLS
// does not stop the page, and neither websocket.hosts nor websocket.origins limits
// the pages.
func (c *Config) Rebindable() bool {
	return c.Auth.Anonymous && c.TLS.Cert == "" && len(c.WebSocket.Hosts)+len(c.WebSocket.Origins) == 0 && private(c.Listen)
}

// ListensOnUnix reports whether the public listener is a Unix socket.
func (c *Config) ListensOnUnix() bool { return strings.HasPrefix(c.Listen, UnixPrefix) }

// AdminOnLoopback reports whether only this machine reaches the admin listener.
func (c *Config) AdminOnLoopback() bool { return loopback(c.Admin) }

// WhoseOrigins says for the log which pages may connect.
func (c *Config) WhoseOrigins() string {
	const own = "pages of the host that is asked"
	switch {
	case slices.Contains(c.WebSocket.Origins, "*"):
		return "all pages"
	case len(c.WebSocket.Origins) > 0:
		return strings.Join(c.WebSocket.Origins, ", ") + ", and " + own
	case c.Development():
		return "pages of this machine: localhost, with any port"
	}
	return own
}

// WhoseHosts says for the log which Host headers are accepted.
func (c *Config) WhoseHosts() string {
	named := ""
	for _, host := range c.WebSocket.Hosts {
		if host != "*" {
			named += host + ", "
		}
	}
	switch {
	case c.Development():
		return named + "localhost, and the hosts of websocket.origins"
	case len(c.WebSocket.Hosts) == 0 || slices.Contains(c.WebSocket.Hosts, "*"):
		return "all hosts"
	}
	return named + "localhost, IP addresses, and the hosts of websocket.origins"
}

// OpenRegistration reports whether a page may wait for an operation that was not
// announced.
func (c *Config) OpenRegistration() bool {
	return c.WebFlow.Registration == "open" || c.WebFlow.Registration == "auto" && c.Development()
}

// shared is the address space of carriers, and of private networks over the
// internet (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// private reports whether a listener at address is on loopback, in a private
// network, or on all interfaces, of which one may be there.
func private(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false // off, or a Unix socket
	}
	if host == "" || loopback(address) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return err == nil && (ip.IsUnspecified() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || shared.Contains(ip))
}

// loopback reports whether only this machine reaches a listener at address.
func loopback(address string) bool {
	if address == "" {
		return true // off
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && httpsec.Loopback(host)
}
