package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/topics"
)

// check finds combinations of keys that cannot work or make no sense.
func (c *Config) check() []error {
	var problems []error
	bad := func(key, format string, args ...any) {
		problems = append(problems, &KeyError{Key: key, Text: fmt.Sprintf(format, args...)})
	}
	if c.Listen == "" && c.TCP == "" {
		bad("listen", "is off, and tcp too: no client could connect")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("tls", "want both cert and key, or neither")
	}
	if c.TLS.ClientCA != "" && c.TLS.Cert == "" {
		bad("tls.client_ca", "wants tls.cert and tls.key: client certificates come with TLS")
	}
	for _, l := range []struct{ key, address string }{{"listen", c.Listen}, {"tcp", c.TCP}} {
		if !c.Authenticated() && !c.Auth.Anonymous && !loopback(l.address) {
			bad(l.key, "%s can be reached from other machines and nobody would be authenticated: set auth.users.file or another of auth, or auth.anonymous to true to let everybody in", l.address)
		}
	}
	if c.Auth.TrustedProxies.Unix && !c.ListensOnUnix() {
		bad("auth.trusted_proxies", "unix has no effect: listen is %s, and not unix:/path", c.Listen)
	}
	if !loopback(c.Admin) && c.AdminToken == "" && c.AdminTokenFile == "" {
		bad("admin", "%s can be reached from other machines: give it a token, by HOOFBEAT_ADMIN_TOKEN or admin_token_file", c.Admin)
	}
	taken := []string{"/livez", "/readyz", "/oauth/login", "/oauth/callback", "/oauth/logout", "/oauth/backchannel-logout"}
	for _, p := range []struct{ key, path string }{{"websocket.path", c.WebSocket.Path}, {"auth.tickets.path", c.Auth.Tickets.Path}} {
		if slices.Contains(taken, p.path) || c.WebFlow.Enabled && strings.HasPrefix(p.path, "/operations/") || c.fetches() && strings.HasPrefix(p.path, DataPath) {
			bad(p.key, "%s is taken", p.path)
		}
		taken = append(taken, p.path)
	}
	if c.SockJS && c.Listen != "" {
		prefix := strings.TrimRight(c.WebSocket.Path, "/") + "/"
		if prefix == "/oauth/" && len(c.Auth.OAuth) > 0 {
			bad("websocket.path", "%s is taken: sockjs would answer below it", c.WebSocket.Path)
		}
		if prefix == DataPath && c.fetches() {
			bad("websocket.path", "%s is taken: sockjs would answer below it", c.WebSocket.Path)
		}
		if slices.Contains([]string{prefix, prefix + "info", prefix + "websocket"}, c.Auth.Tickets.Path) {
			bad("auth.tickets.path", "%s is taken by sockjs", c.Auth.Tickets.Path)
		}
	}
	if c.SockJS && c.SockJSCookie != "" && c.SockJSCookie == c.Auth.Sessions.Cookie {
		bad("sockjs_cookie", "%s is the name of auth.sessions.cookie, which says who a user is", c.SockJSCookie)
	}
	if names, err := topics.NewNames(c.Prefixes()); err != nil {
		bad("destinations", "%s", err)
	} else {
		for _, s := range c.Queues.Transient {
			d, err := names.Parse(s)
			if _, dead := names.DeadLettersOf(s); err != nil || d.Kind != topics.Queue || dead {
				bad("queues.transient", "%s", notQueuePattern(s))
			}
		}
	}
	issuers := make(map[string]int)
	for i, j := range c.Auth.JWT {
		if first, taken := issuers[j.Issuer]; taken {
			bad(fmt.Sprintf("auth.jwt[%d].issuer", i), "%s is the issuer of auth.jwt[%d] too: want one entry for each issuer", j.Issuer, first)
			continue
		}
		issuers[j.Issuer] = i
	}
	c.checkFetch(bad)
	c.checkStore(bad)
	c.checkCluster(bad)
	if origins, err := httpsec.NewList(c.WebSocket.Origins); err != nil {
		bad("websocket.origins", "%s", err)
	} else if anybody := origins.Anybody(); len(c.Auth.OAuth) > 0 && anybody != "" {
		bad("websocket.origins", "%s and auth.oauth: any page could connect in the name of its visitors, by their cookie", anybody)
	}
	for _, u := range []struct {
		key, url string
		allowed  bool
	}{
		{"auth.webhook", c.Auth.Webhook.URL, c.Auth.Webhook.AllowHTTP},
		{"events", c.Events.URL, c.Events.AllowHTTP},
		{"webflow.events", c.WebFlow.Events.URL, c.WebFlow.Events.AllowHTTP},
	} {
		if _, err := httpsec.SecureURL(u.url); u.url != "" && !u.allowed && errors.Is(err, httpsec.ErrInsecure) {
			bad(u.key+".url", "is neither https nor http to this machine: everybody on the way could read what is sent. %s.allow_http: true accepts it all the same", u.key)
		}
	}
	if c.Auth.Tickets.Signed && !c.Auth.Tickets.Secret.Set() {
		bad("auth.tickets.signed", "wants auth.tickets.secret, which signs them")
	}
	if !c.Auth.Tickets.Signed && c.Auth.Tickets.Secret.Set() {
		bad("auth.tickets.secret", "has no effect without auth.tickets.signed: true, and other programs could not sign tickets with it")
	}
	if c.Events.URL == "" && c.Events.Secret.Set() {
		bad("events.secret", "has no effect without events.url")
	}
	if c.Events.URL != "" && len(c.Events.Types) == 0 {
		bad("events.types", "is empty: nothing would be sent")
	}
	if c.WebFlow.Events.URL == "" && c.WebFlow.Events.Secret.Set() {
		bad("webflow.events.secret", "has no effect without webflow.events.url")
	}
	c.WebFlow.checkResults(c.places["webflow.interim"] != "", bad)
	// With store.dir the key alone encrypts the tokens there.
	if s := c.Auth.Sessions; s.TokenStore != "" && !s.TokenStoreKey.Set() || s.TokenStore == "" && s.TokenStoreKey.Set() && c.Store.Dir == "" {
		bad("auth.sessions.token_store", "want both the file and its key, or neither")
	}
	order := func(small string, smaller Bytes, large string, larger Bytes) {
		if smaller != Off && larger != Off && smaller > larger {
			bad(large, "%s is less than %s of %s", larger, smaller, small)
		}
	}
	if frame, outbox := c.Limits.Frame, c.Limits.Outbox; frame != Off && outbox != Off && outbox/2 < frame {
		key := "limits.outbox"
		if c.places[key] == "" {
			key = "limits.frame"
		}
		bad(key, "limits.outbox of %s is less than twice limits.frame of %s: one frame could make a client a slow consumer", outbox, frame)
	}
	order("limits.frame", c.Limits.Frame, "queues.bytes", c.Queues.Bytes)
	order("queues.bytes", c.Queues.Bytes, "queues.total_bytes", c.Queues.TotalBytes)
	order("limits.unauthenticated_frame", c.Limits.UnauthenticatedFrame, "limits.frame", c.Limits.Frame)
	return problems
}
