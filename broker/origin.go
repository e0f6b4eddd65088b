package broker

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// checkPage returns the refusal of a request that was meant for another host than
// Options.LoopbackOnly allows, or that comes from a page that may not connect.
func (b *Broker) checkPage(r *http.Request) *auth.Refusal {
	p := b.policy.Load()
	if !p.meant(r) {
		return b.refuseHost(r)
	}
	if !p.mayConnect(r) {
		return b.RefuseOrigin(r)
	}
	return nil
}

// CheckHost returns an [*auth.Refusal], and logs it, if Options.LoopbackOnly is set
// and the Host of a request does not name this machine. [Broker.Admit] checks it
// by itself; it is for what a program serves beside the broker.
func (b *Broker) CheckHost(r *http.Request) error {
	if b.policy.Load().meant(r) {
		return nil
	}
	return b.refuseHost(r)
}

// CheckPage returns an [*auth.Refusal], and logs it, if a request comes from a
// page that Options.Origins does not let connect, or fails [Broker.CheckHost]. It
// is for endpoints that a program serves beside the broker, for the same pages: it
// puts into the header of the answer what browsers want to see by CORS. It goes by
// the [Policy] of the moment. A request without an Origin does not come from a
// page of another origin and passes.
func (b *Broker) CheckPage(header http.Header, r *http.Request, c httpsec.CORS) error {
	p := b.policy.Load()
	if !p.meant(r) {
		return b.refuseHost(r)
	}
	if _, err := c.Check(header, r, &p.origins, p.loopback); err != nil {
		return b.RefuseOrigin(r)
	}
	return nil
}

// meant reports whether the Host of a request is one that we go by.
func (p *policy) meant(r *http.Request) bool {
	return !p.loopback || httpsec.LoopbackHost(r.Host) || p.origins.NamesHost(r.Host)
}

// mayConnect reports whether the page that sent a request may. A request without
// an Origin does not come from a page.
func (p *policy) mayConnect(r *http.Request) bool {
	if p.origins.Any() {
		return true
	}
	o, err := httpsec.RequestOrigin(r)
	switch {
	case err != nil:
		return false
	case o == httpsec.Origin{}:
		return true
	case !p.origins.Empty():
		return p.origins.AllowOrOwn(o, r)
	}
	return p.loopback && o.Loopback() || httpsec.SameHost(o, r)
}

// RefuseOrigin returns the refusal of a request whose page may not make it, for
// what is served beside [Broker.Admit], and logs it: one record a second for each
// origin.
func (b *Broker) RefuseOrigin(r *http.Request) *auth.Refusal {
	no := auth.ForeignOrigin(r)
	remote := b.ClientAddress(r)
	b.warn("origin not allowed", source{no.Origin, loglimit.Network(remote.Addr()), true},
		"origin", no.Origin, "host", legible(r.Host), "remote", remote, "key", no.Key)
	return no
}

func (b *Broker) refuseHost(r *http.Request) *auth.Refusal {
	host, remote := legible(r.Host), b.ClientAddress(r)
	b.warn("host not allowed", source{host, loglimit.Network(remote.Addr()), true},
		"host", host, "origin", legible(r.Header.Get("Origin")), "remote", remote,
		"reason", "in development mode only localhost is taken for this machine, so that no page of another site can pretend to be from here")
	return &auth.Refusal{
		Status: http.StatusForbidden,
		Reason: "host not allowed: in development mode the name must be localhost or a loopback address; name another one in websocket.origins, or configure who may connect",
		Key:    "websocket.origins",
	}
}

// legible shortens a text of the client for logs and answers, and takes out what
// is not printable.
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, brief(strings.ToValidUTF8(text, string(unicode.ReplacementChar))))
}
