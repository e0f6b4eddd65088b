package broker

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// checkPage returns the refusal of a request whose Host is not allowed by
// Options.Hosts and Options.LoopbackOnly, or whose page may not connect.
func (b *Broker) checkPage(r *http.Request) *auth.Refusal {
	p := b.policy.Load()
	if !p.pages.HostAllowed(r) {
		return b.refuseHost(r, p)
	}
	if !p.pages.MayConnect(r) {
		return b.RefuseOrigin(r)
	}
	return nil
}

// CheckHost returns an [*auth.Refusal], logs it and counts it in Stats.Refused,
// if Options.Hosts and Options.LoopbackOnly do not allow the Host of a request.
// [Broker.Admit] checks the same; CheckHost is for other endpoints of the
// program. It uses the current [Policy].
func (b *Broker) CheckHost(r *http.Request) error {
	return b.checkHost(r, b.policy.Load())
}

func (b *Broker) checkHost(r *http.Request, p *policy) error {
	if p.pages.HostAllowed(r) {
		return nil
	}
	b.stats.refused.Add(1)
	return b.refuseHost(r, p)
}

// CheckPage returns an [*auth.Refusal] and logs it if Options.Origins does not
// allow the page of a request to connect, or if [Broker.CheckHost] fails. It is
// for other endpoints of the program that serve the same pages: it adds the
// CORS headers that browsers require to the header of the answer. It uses the
// current [Policy]. A request without an Origin does not come from a page of
// another origin and passes.
func (b *Broker) CheckPage(header http.Header, r *http.Request, c httpsec.CORS) error {
	p := b.policy.Load()
	if err := b.checkHost(r, p); err != nil {
		return err
	}
	if _, err := c.Check(header, r, &p.pages.Origins, p.pages.LoopbackOnly); err != nil {
		return b.RefuseOrigin(r)
	}
	return nil
}

// RefuseOrigin returns and logs the refusal of a request whose page is not
// allowed, for endpoints other than [Broker.Admit]. It logs at most one record
// a second for each origin.
func (b *Broker) RefuseOrigin(r *http.Request) *auth.Refusal {
	no := auth.ForeignOrigin(r)
	remote := b.ClientAddress(r)
	b.warn("origin not allowed", source{no.Origin, loglimit.Network(remote.Addr()), true},
		"origin", no.Origin, "host", legible(r.Host), "remote", remote, "key", no.Key)
	return no
}

// refuseHost returns and logs the refusal of a request whose Host is not
// allowed. It logs at most one record a second for each host.
func (b *Broker) refuseHost(r *http.Request, p *policy) *auth.Refusal {
	no := &auth.Refusal{
		Status: http.StatusForbidden,
		Reason: "host not allowed: the name must be one of websocket.hosts, the host of one of websocket.origins, localhost, or an IP address",
		Key:    "websocket.hosts",
	}
	why := "it is none of the names of this broker, so that no page of another site can pretend to be from here"
	if p.pages.LoopbackOnly {
		no.Reason = "host not allowed: in development mode the name must be localhost or a loopback address; name another one in websocket.origins or websocket.hosts, or configure who may connect"
		no.Key = "websocket.origins"
		why = "in development mode only localhost is taken for this machine, so that no page of another site can pretend to be from here"
	}
	host, remote := legible(r.Host), b.ClientAddress(r)
	b.warn("host not allowed", source{host, loglimit.Network(remote.Addr()), true},
		"host", host, "origin", legible(r.Header.Get("Origin")), "remote", remote, "reason", why, "key", no.Key)
	return no
}

// legible shortens a client's text for logs and answers, and removes
// unprintable characters.
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, brief(strings.ToValidUTF8(text, string(unicode.ReplacementChar))))
}
