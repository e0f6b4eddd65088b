package auth

import (
	"net/http"
	"strings"
	"unicode"
)

// origin returns the origin that a request comes from, "" if no page has sent it, or an error if that origin may not
// ask. It sets the CORS headers for those that may.
func (h *ticketHandler) origin(header http.Header, r *http.Request) (string, error) {
	o, err := h.cors.Check(header, r, &h.origins, false)
	if err != nil {
		return "", ForeignOrigin(r)
	}
	return o.String(), nil
}

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
