// Package config is the configuration of the hoofbeat binary: the struct
// [Config]. Each of its fields is a key: the tags have the key's name, default
// and range, and the comment is the key's documentation. The default file, the
// documentation, variables, flags and errors all come from these fields.
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
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Off is the value of a number, size or duration whose limit the operator
// switched off (`off` in the file). It is what broker.Options call off, too.
const Off = -1

// Warnings returns warnings about the sources of the configuration, one line each.
func (c *Config) Warnings() []string { return c.warnings }

// Given reports whether a key was given in the file, the environment or on the
// command line, at its default or not.
func (c *Config) Given(path string) bool { return c.places[path] != "" }

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

// Prefixes returns the prefixes of destinations that are in force.
func (c *Config) Prefixes() topics.Prefixes {
	p := topics.Prefixes(c.Destinations)
	if len(p.Topic) == 0 {
		p.Topic = topics.DefaultPrefixes().Topic
		if c.Compatibility == "spring" {
			p.Topic = append(p.Topic, "/")
		}
	}
	return p
}

// Bearer reports whether bearer tokens are accepted.
func (a *Auth) Bearer() bool { return len(a.JWT)+len(a.Introspection)+len(a.UserInfo) > 0 }

// Authenticated reports whether clients are asked who they are.
func (c *Config) Authenticated() bool {
	a := &c.Auth
	return a.Users.File != "" || a.Bearer() || len(a.OAuth) > 0 || a.Webhook.URL != "" ||
		a.Tickets.Enabled || a.Tickets.Secret.Set()
}
