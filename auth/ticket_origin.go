package auth

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// origin returns the origin that a request comes from, "" if no page has sent it, or an error if that origin may not
// ask. It sets the CORS headers for those that may.
func (h *ticketHandler) origin(header http.Header, r *http.Request) (string, error) {
	header.Add("Vary", "Origin")
	o, err := httpsec.RequestOrigin(r)
	if err != nil {
		return "", foreignOrigin(r)
	}
	if o == (httpsec.Origin{}) {
		if h.own.Check(r) != nil { // Sec-Fetch-Site says what Origin does not
			return "", foreignOrigin(r)
		}
		return "", nil
	}
	if h.origins.Allow(o) {
		header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		if h.o.Session != nil {
			header.Set("Access-Control-Allow-Credentials", "true")
		}
		return o.String(), nil
	}
	if !h.origins.AllowOrOwn(o, r) || h.own.Check(r) != nil {
		return "", foreignOrigin(r)
	}
	return o.String(), nil
}

// preflight answers a browser that asks on behalf of an allowed page (Fetch, CORS protocol).
func preflight(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

func foreignOrigin(r *http.Request) error { return ForeignOrigin(r) }

// maxShownOrigin is how much of an Origin header is shown to people, in bytes.
const maxShownOrigin = 200

// ForeignOrigin returns the refusal of a request whose page may not make it: 403, with the Origin header in the answer,
// shortened and without what is not printable.
func ForeignOrigin(r *http.Request) *Refusal {
	origin := strings.ToValidUTF8(strings.Join(r.Header.Values("Origin"), ", "), string(unicode.ReplacementChar))
	if len(origin) > maxShownOrigin {
		origin = strings.ToValidUTF8(origin[:maxShownOrigin], "") + "…"
	}
	origin = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, origin)
	return &Refusal{Status: http.StatusForbidden, Reason: "origin not allowed", Origin: origin, Key: "websocket.origins"}
}
