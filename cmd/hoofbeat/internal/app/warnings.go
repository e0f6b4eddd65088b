package app

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// Warnings returns the warnings about a valid configuration: settings without
// effect and risks. Each is one line that names the key. `hoofbeat config
// check` prints them, and [App.Run] logs them.
func Warnings(c *config.Config) []string {
	warnings := slices.Concat(c.Warnings(), c.Ineffective(), c.Unreachable(), forgeries(c), unseen(c), unkept(c))
	if c.Auth.Tickets.Signed && len(c.Nodes) > 0 && !c.Clustered() {
		warnings = append(warnings, "auth.tickets.signed: each of several nodes takes a signed ticket once, so with nodes a ticket lets in as many clients as there are nodes")
	}
	if c.Clustered() {
		warnings = append(warnings, c.ClusterKey()+": a message with the header delay waits in the memory of the node that took it until it is due, and is lost with that node")
	}
	if c.ListensOnUnix() && !c.Auth.TrustedProxies.Unix {
		warnings = append(warnings, "auth.trusted_proxies: clients behind the socket of listen have no address, so no limit of an address concerns them: add unix, if the proxy sets X-Forwarded-For")
	}
	if c.Rebindable() {
		warnings = append(warnings, "websocket.hosts: clients need no credential (auth.anonymous) and every Host is accepted, so that a page of any site could connect by DNS rebinding from a browser that reaches "+c.Listen+": list the names of this broker, or * if everybody may connect to it anyway")
	}
	return warnings
}

// unseen warns of presence that no rule shows to anybody: a rule for all topics
// does not.
func unseen(c *config.Config) []string {
	if len(c.Presence) == 0 || c.Development() || c.Auth.Webhook.URL != "" && slices.Contains(c.Auth.Webhook.Events, "subscribe") {
		return nil
	}
	p := c.Prefixes()
	topics := slices.DeleteFunc(slices.Clone(p.Topic), func(prefix string) bool { return prefix == "/" })
	lists, events := p.App[0]+"/presence", strings.Join(topics[:min(1, len(topics))], "")+"/presence"
	shows := func(r config.Rule) bool {
		below := func(prefix string) bool {
			return r.Destination == prefix || strings.HasPrefix(r.Destination, prefix+"/")
		}
		return r.Allow && slices.Contains(r.Actions, "subscribe") &&
			(below(events) || slices.ContainsFunc(p.App, func(app string) bool { return below(app + "/presence") }))
	}
	if slices.ContainsFunc(c.Rules, shows) {
		return nil
	}
	return []string{"presence: nobody can list or watch it, because no rule allows subscribe for a destination that begins with " + lists + "/ or " + events + "/"}
}

// own returns the private destinations to which no client may SEND, see
// broker.Broker.Reserve.
func own(c *config.Config) []string {
	list := []string{"/topic/session", "/queue/errors"}
	if c.WebFlow.Enabled {
		list = append(list, "/topic/registration", "/topic/authorization")
	}
	for _, p := range c.Auth.OAuth {
		for _, f := range p.Fetch {
			if path, ok := strings.CutPrefix(f.Destination, c.Prefixes().User); ok {
				list = append(list, path)
			}
		}
	}
	return list
}

// forgeries warns of rules that seem to let a client send to destinations that
// only the broker may use.
func forgeries(c *config.Config) []string {
	var warnings []string
	for _, r := range c.Rules {
		var in []string
		for _, path := range own(c) {
			if allowsSend(r, path) {
				in = append(in, "/user/{name}"+path)
			}
		}
		if len(in) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s:%d: rules: %q does not allow a SEND to %s: what clients hear there comes from the broker only",
				r.File, r.Line, r.Destination, strings.Join(in, ", ")))
		}
	}
	return warnings
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// allowsSend reports whether a rule allows some client to send to a private
// path of some user.
func allowsSend(r config.Rule, path string) bool {
	if !r.Allow {
		return false
	}
	user := "somebody"
	destination := variable.ReplaceAllString(r.Destination, "*")
	if parts := strings.Split(destination, "/"); len(parts) > 2 && !strings.ContainsAny(parts[2], "*?") {
		user = parts[2]
	}
	var actions []auth.Action
	for _, a := range r.Actions {
		if a == "send" {
			actions = append(actions, auth.Send)
		}
	}
	rules, err := auth.NewRules(auth.Rule{Effect: auth.Allow, Actions: actions, Destination: destination, AnyUser: true})
	return err == nil && len(actions) > 0 &&
		rules.Authorize(context.Background(), &auth.Principal{Name: user}, auth.Send, "/user/"+user+path) == nil
}
