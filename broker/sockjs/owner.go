package sockjs

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// owner is who a session belongs to, as far as a request can show it: a hash of
// its best credential, or of the address that it came from.
type owner [sha256.Size]byte

func ownerOf(r *http.Request, cookie string) owner {
	if t := r.URL.Query().Get("ticket"); t != "" {
		return sha256.Sum256([]byte("ticket " + t))
	}
	if a := r.Header.Get("Authorization"); a != "" {
		return sha256.Sum256([]byte("authorization " + a))
	}
	if cookie != "" {
		if c, err := r.Cookie(cookie); err == nil && c.Value != "" {
			return sha256.Sum256([]byte("cookie " + c.Value))
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return sha256.Sum256([]byte("address " + host))
}

// sameOrigin reports whether a later request of a session comes from a page that
// may: one of the origin that Admit let in, one of our own host, or none.
func sameOrigin(r *http.Request, admitted string) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == admitted || r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
