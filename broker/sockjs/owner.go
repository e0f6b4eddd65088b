package sockjs

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// A proof is what a request shows of who sends it; empty is nothing.
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

// byAddress is what a client proves that shows nothing: its own address, and not
// that of a proxy which the broker trusts.
func (h *handler) byAddress(r *http.Request) string {
	if a := h.b.ClientAddress(r).Addr(); a.IsValid() {
		return a.Unmap().String()
	}
	return r.RemoteAddr
}

// owner is who a session belongs to: a hash of the best proof that its first
// request has shown. Later requests must show the same one; what they show
// beside it does not matter, as browsers send cookies with one transport and not
// with another.
type owner struct {
	proof proof
	hash  [sha256.Size]byte
}

func (h *handler) ownerOf(r *http.Request) owner {
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

// sent reports whether r comes from the owner.
func (o owner) sent(r *http.Request) bool { return sha256.Sum256([]byte(o.proof(r))) == o.hash }

// issue gives a browser that has none the cookie that ties its requests together.
// It says nothing about its user, and lives as long as the browser.
func (o *Options) issue(w http.ResponseWriter, r *http.Request) {
	if o.OwnCookie == "" || byCookie(o.OwnCookie)(r) != "" {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: o.OwnCookie, Value: rand.Text(), Path: o.Prefix + "/",
		HttpOnly: true, Secure: overTLS(r), SameSite: http.SameSiteLaxMode,
	})
}

// overTLS reports whether the browser's own connection is encrypted, as far as we
// can tell: it is ours, a proxy says so, or the page that asks is from https and of
// our host. A client that writes the header itself gets no more than a cookie that
// its browser sends over TLS only, so it does not matter who sends it.
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

// referrer returns the origin of the page that the Referer header names.
func referrer(r *http.Request) string {
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// sameOrigin reports whether a later request of a session comes from a page that
// may: one of the origin that Admit let in, one of our own host, or none.
func sameOrigin(r *http.Request, admitted string) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == admitted || r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return true
	}
	o, err := httpsec.RequestOrigin(r)
	return err == nil && httpsec.SameHost(o, r)
}
