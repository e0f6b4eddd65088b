package auth

import (
	"net/http"
	"strings"
	"unicode"
)

// maxShownOrigin limits the Origin header in logs and answers, in bytes.
const maxShownOrigin = 200

// ForeignOrigin returns the refusal for a request from a page of another
// origin: 403, with the Origin header in the answer, shortened and without
// unprintable characters.
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
