package config

import (
	"fmt"
	"slices"
	"strings"
)

// need is what some keys need so that they have an effect.
type need struct {
	keys   string // the names of keys, or of sections with a dot at the end
	but    string // those of them that have an effect anyway
	met    func(c *Config) bool
	needed string // in words
}

// needs is the table of keys that have no effect in some configurations. The first
// need that is not met is reported.
var needs = []need{
	{"websocket. sockjs sockjs_cookie heartbeat.ping auth.trusted_proxies limits.connections limits.connections_per_address limits.sockjs_sessions", "",
		func(c *Config) bool { return c.Listen != "" }, "listen is off"},
	{"sockjs_cookie limits.sockjs_sessions", "", func(c *Config) bool { return c.SockJS }, "sockjs is false"},
	{"admin_token admin_token_file admin_pprof", "", func(c *Config) bool { return c.Admin != "" }, "admin is off"},
	{"admin_token_file", "", func(c *Config) bool { return c.AdminToken == "" }, "HOOFBEAT_ADMIN_TOKEN is set"},
	{"heartbeat.patience", "", func(c *Config) bool { return c.HeartBeat.Expect != Off }, "heartbeat.expect is off"},
	{"queues.", "queues.mode", func(c *Config) bool { return c.Queues.Mode == "work" }, "queues.mode is broadcast"},
	{"webflow.", "webflow.enabled", func(c *Config) bool { return c.WebFlow.Enabled }, "webflow.enabled is false"},
	{"webflow.max_operations_per_user", "", (*Config).OpenRegistration, "only what was announced can be registered (webflow.registration)"},
	{"webflow.events.", "webflow.events.url", func(c *Config) bool { return c.WebFlow.Events.URL != "" }, "webflow.events.url is not set"},
	{"auth.tickets.path auth.tickets.bind_origin", "", (*Config).exchanges, "nothing can be exchanged for a ticket: auth.users.file, auth.jwt, auth.introspection, auth.userinfo and auth.oauth are not set"},
	{"auth.tickets.ttl auth.tickets.per_subject auth.tickets.outstanding auth.tickets.rate auth.tickets.burst", "",
		func(c *Config) bool { return c.exchanges() || c.Auth.Tickets.Enabled || c.Auth.Tickets.Secret.Set() }, "nothing mints tickets: set auth.tickets.enabled to true if your application does by the admin API"},
	{"auth.sessions.", "", func(c *Config) bool { return len(c.Auth.OAuth) > 0 }, "auth.oauth is not set"},
	{"auth.webhook.", "auth.webhook.url", func(c *Config) bool { return c.Auth.Webhook.URL != "" }, "auth.webhook.url is not set"},
	{"auth.webhook.cache", "", func(c *Config) bool { return c.asks("subscribe", "send") }, "auth.webhook.events has neither subscribe nor send"},
	{"auth.webhook.frame_headers", "", func(c *Config) bool { return c.asks("connect", "renew") }, "auth.webhook.events has neither connect nor renew"},
	{"auth.recheck_grace", "", func(c *Config) bool {
		return len(c.Auth.Introspection)+len(c.Auth.UserInfo) > 0 || c.Auth.Webhook.URL != ""
	}, "auth.introspection, auth.userinfo and auth.webhook.url are not set"},
	{"auth.shared_names auth.expiry_notice limits.login_failures limits.address_failures limits.failure_wait limits.failure_decay", "",
		(*Config).Authenticated, "nobody is authenticated"},
	{"limits.fetched_answer limits.fetched_answers", "", (*Config).fetches, "auth.oauth[].fetch is not set"},
	{"drain.spread", "", func(c *Config) bool { return c.Drain.Timeout > 0 }, "drain.timeout is 0s"},
}

// exchanges reports whether auth.tickets.path has something to exchange.
func (c *Config) exchanges() bool {
	return c.Auth.Bearer() || len(c.Auth.OAuth) > 0 || c.Auth.Users.File != ""
}

// asks reports whether the backend is asked about one of these events.
func (c *Config) asks(events ...string) bool {
	return slices.ContainsFunc(events, func(e string) bool { return slices.Contains(c.Auth.Webhook.Events, e) })
}

func (n need) concerns(key string) bool {
	in := func(list string) bool {
		return slices.ContainsFunc(strings.Fields(list), func(name string) bool {
			return key == name || strings.HasSuffix(name, ".") && strings.HasPrefix(key, name)
		})
	}
	return in(n.keys) && !in(n.but)
}

// Ineffective returns a line for each key that was given, has another value than its
// default, and has no effect in this configuration.
func (c *Config) Ineffective() []string {
	var lines []string
	for _, k := range tableOf(c) {
		if c.places[k.Path] == "" || k.value.String() == k.Default {
			continue
		}
		for _, n := range needs {
			if n.concerns(k.Path) && !n.met(c) {
				lines = append(lines, fmt.Sprintf("%s: %s has no effect, because %s", c.places[k.Path], k.Path, n.needed))
				break
			}
		}
	}
	return lines
}

// Unreachable returns a line for each rule about destinations that have none of the
// prefixes in destinations, so that no destination is named so.
func (c *Config) Unreachable() []string {
	p := c.Prefixes()
	all := slices.Concat(p.Topic, p.Queue, p.App, []string{p.User})
	var lines []string
	for _, r := range c.Rules {
		reached := func(prefix string) bool { return meets(r.Destination, strings.TrimRight(prefix, "/")) }
		if !slices.ContainsFunc(all, reached) {
			lines = append(lines, fmt.Sprintf("%s:%d: rules: %q has no effect, because no prefix in destinations begins so: they are %s",
				r.File, r.Line, r.Destination, strings.Join(all, ", ")))
		}
	}
	return lines
}

// meets reports whether a pattern can match something below a prefix.
func meets(pattern, prefix string) bool {
	segments := strings.Split(pattern, "/")
	for i, want := range strings.Split(prefix, "/") {
		if i >= len(segments) {
			return false
		}
		s := segments[i]
		if strings.Contains(s, "**") {
			return true
		}
		if s != want && !strings.ContainsAny(s, "*?{") {
			return false
		}
	}
	return true
}
