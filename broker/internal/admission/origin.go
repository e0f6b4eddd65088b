package admission

import (
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Pages are the rules for the web pages that may connect: by the Origin of the
// page, and by the Host under which it reaches the broker. The fields have the
// meaning of those of broker.Options.
type Pages struct {
	Origins      httpsec.List
	Hosts        httpsec.Hosts
	LoopbackOnly bool
}

// HostAllowed reports whether the Host of a request is allowed. "*" in Hosts does
// not disable LoopbackOnly.
func (p *Pages) HostAllowed(r *http.Request) bool {
	if !p.LoopbackOnly && (p.Hosts.Empty() || p.Hosts.Any()) {
		return true
	}
	return httpsec.LoopbackHost(r.Host) || p.Hosts.Name(r.Host) || p.Origins.NamesHost(r.Host) ||
		!p.LoopbackOnly && httpsec.AddressHost(r.Host)
}

// MayConnect reports whether the page that sent a request may connect. A request
// without an Origin does not come from a page.
func (p *Pages) MayConnect(r *http.Request) bool {
	if p.Origins.Any() {
		return true
	}
	o, err := httpsec.RequestOrigin(r)
	switch {
	case err != nil:
		return false
	case o == httpsec.Origin{}:
		return true
	case !p.Origins.Empty():
		return p.Origins.AllowOrOwn(o, r)
	}
	return p.LoopbackOnly && o.Loopback() || httpsec.SameHost(o, r)
}
