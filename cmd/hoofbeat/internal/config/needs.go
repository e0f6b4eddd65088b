package config

import (
	"fmt"
	"slices"
	"strings"
)

// need is what some keys need so that they have an effect.
type need struct {
	met   func(c *Config) bool
	unmet string // in words
}

// needs are the needs that the tags of keys and sections name. The first need of
// a key that is not met is reported.
var needs = map[string]need{
	"admin":            {func(c *Config) bool { return c.Admin != "" }, "admin is off"},
	"admissions":       {func(c *Config) bool { return c.asks("connect", "renew") }, "auth.webhook.events has neither connect nor renew"},
	"auth.oauth":       {func(c *Config) bool { return len(c.Auth.OAuth) > 0 }, "auth.oauth is not set"},
	"auth.webhook.url": {func(c *Config) bool { return c.Auth.Webhook.URL != "" }, "auth.webhook.url is not set"},
	"authentication":   {(*Config).Authenticated, "nobody is authenticated"},
	"cluster":          {(*Config).Clustered, "neither cluster.listen nor cluster.url is set"},
	"cluster.listen":   {func(c *Config) bool { return c.Cluster.Listen != "" }, "cluster.listen is not set"},
	"cluster.url":      {func(c *Config) bool { return len(c.Cluster.URL) > 0 }, "cluster.url is not set"},
	"decisions":        {func(c *Config) bool { return c.asks("subscribe", "send") }, "auth.webhook.events has neither subscribe nor send"},
	"drain.timeout":    {func(c *Config) bool { return c.Drain.Timeout > 0 }, "drain.timeout is 0s"},
	"events.url":       {func(c *Config) bool { return c.Events.URL != "" }, "events.url is not set"},
	"exchange": {(*Config).exchanges,
		"nothing can be exchanged for a ticket: auth.users.file, auth.jwt, auth.introspection, auth.userinfo and auth.oauth are not set"},
	"fetch":            {(*Config).fetches, "auth.oauth[].fetch is not set"},
	"generated-token":  {func(c *Config) bool { return c.AdminToken == "" }, "HOOFBEAT_ADMIN_TOKEN is set"},
	"handlers":         {func(c *Config) bool { return len(c.Handlers) > 0 }, "handlers is not set"},
	"heartbeat.expect": {func(c *Config) bool { return c.HeartBeat.Expect != Off }, "heartbeat.expect is off"},
	"listen":           {func(c *Config) bool { return c.Listen != "" }, "listen is off"},
	"minting": {func(c *Config) bool { return c.exchanges() || c.Auth.Tickets.Enabled || c.Auth.Tickets.Secret.Set() },
		"nothing mints tickets: set auth.tickets.enabled to true if your application does by the admin API"},
	"open-registration": {(*Config).OpenRegistration, "only what was announced can be registered (webflow.registration)"},
	"queues.mode":       {func(c *Config) bool { return c.Queues.Mode == "work" }, "queues.mode is broadcast"},
	"rechecks": {func(c *Config) bool {
		return len(c.Auth.Introspection)+len(c.Auth.UserInfo) > 0 || c.Auth.Webhook.URL != ""
	}, "auth.introspection, auth.userinfo and auth.webhook.url are not set"},
	"sockjs":        {func(c *Config) bool { return c.SockJS }, "sockjs is false"},
	"store.dir":     {func(c *Config) bool { return c.Store.Dir != "" }, "store.dir is not set"},
	"stored-queues": {func(*Config) bool { return false }, "nodes keep no messages together yet"},
	"subscription-events": {func(c *Config) bool { return c.Events.reportsSubscriptions() },
		"events.types has neither subscribed nor unsubscribed"},
	"webflow":            {func(c *Config) bool { return c.WebFlow.Enabled }, "webflow.enabled is false"},
	"webflow.events.url": {func(c *Config) bool { return c.WebFlow.Events.URL != "" }, "webflow.events.url is not set"},
}

// exchanges reports whether auth.tickets.path has something to exchange.
func (c *Config) exchanges() bool {
	return c.Auth.Bearer() || len(c.Auth.OAuth) > 0 || c.Auth.Users.File != ""
}

// asks reports whether the backend is asked about one of these events.
func (c *Config) asks(events ...string) bool {
	return slices.ContainsFunc(events, func(e string) bool { return slices.Contains(c.Auth.Webhook.Events, e) })
}

// Ineffective returns a line for each key that was given, has another value than its
// default, and has no effect in this configuration.
func (c *Config) Ineffective() []string {
	var lines []string
	for _, k := range tableOf(c) {
		if c.places[k.Path] == "" || k.value.String() == k.Default {
			continue
		}
		for _, name := range k.needs {
			if n := needs[name]; !n.met(c) {
				lines = append(lines, fmt.Sprintf("%s: %s has no effect, because %s", c.places[k.Path], k.Path, n.unmet))
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
