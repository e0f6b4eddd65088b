package sockjs

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// A proof extracts a value from a request that identifies its sender, or "".
type proof func(*http.Request) string

func byTicket(r *http.Request) string        { return r.URL.Query().Get("ticket") }
func byAuthorization(r *http.Request) string { return r.Header.Get("Authorization") }

func byCookie(name string) proof {
	return func(r *http.Request) string {
		c, err := r.Cookie(name)
		if err != nil {
			return ""
		}
		return c.Value
	}
}

// byAddress identifies a client that offers no other proof by its own address,
// not that of a trusted proxy.
func (h *Endpoint) byAddress(r *http.Request) string {
	if a := h.b.ClientAddress(r).Addr(); a.IsValid() {
		return a.Unmap().String()
	}
	return r.RemoteAddr
}

// owner identifies the client that owns a session, by a hash of the best proof
// in its first request. Later requests must repeat that proof. Other proofs do
// not matter, because browsers send cookies with some transports and not with
// others.
type owner struct {
	proof proof
	hash  [sha256.Size]byte
}

func (h *Endpoint) ownerOf(r *http.Request) owner {
	proofs := []proof{byTicket, byAuthorization}
	for _, name := range []string{h.o.Cookie, h.o.OwnCookie} {
		if name != "" {
			proofs = append(proofs, byCookie(name))
		}
	}
	for _, p := range proofs {
		if v := p(r); v != "" {
			return owner{p, sha256.Sum256([]byte(v))}
		}
	}
	return owner{h.byAddress, sha256.Sum256([]byte(h.byAddress(r)))}
}

// sent reports whether the owner sent r.
func (o owner) sent(r *http.Request) bool { return sha256.Sum256([]byte(o.proof(r))) == o.hash }

// issue sets OwnCookie for a browser that lacks it. The cookie contains nothing
// about the user and lasts for the browser session.
func (o *Options) issue(w http.ResponseWriter, r *http.Request) {
	if o.OwnCookie == "" || byCookie(o.OwnCookie)(r) != "" {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: o.OwnCookie, Value: rand.Text(), Path: o.Prefix + "/",
		HttpOnly: true, Secure: overTLS(r), SameSite: http.SameSiteLaxMode,
	})
}

// overTLS reports whether the browser's own connection is encrypted, as far as
// the request shows: the broker's connection uses TLS, a proxy says so, or the
// page is an https page of the same host. X-Forwarded-Proto is trusted from
// anyone: a client that forges it only gets a cookie that its browser sends
// over TLS alone.
func overTLS(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	if r.TLS != nil || strings.EqualFold(strings.TrimSpace(first), "https") {
		return true
	}
	for _, page := range []string{r.Header.Get("Origin"), referrer(r)} {
		if o, err := httpsec.Parse(page); err == nil && o.Secure() && httpsec.SameHost(o, r) {
			return true
		}
	}
	return false
}

// referrer returns the origin in the Referer header.
func referrer(r *http.Request) string {
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// sameOrigin reports whether a later request of a session has an acceptable
// origin: the one that Admit accepted, the broker's own host, or none.
func sameOrigin(r *http.Request, admitted string) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == admitted || r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return true
	}
	o, err := httpsec.RequestOrigin(r)
	return err == nil && httpsec.SameHost(o, r)
}
