package oauth

import (
	"fmt"
	"net/http"
	"strings"
)

// failure is why a browser's request failed: a constant text for the user and
// an error for the operator.
type failure struct {
	status int
	text   string
	// err is nil for a failure that needs no log line.
	err error
}

// Texts for users.
const (
	textStale       = "This sign-in has expired or was started in another browser. Please start again."
	textMalformed   = "This request is malformed."
	textUnknown     = "There is no such sign-in provider."
	textNobody      = "You must be signed in to this site first."
	textDenied      = "Access was denied at the sign-in provider."
	textRefused     = "The sign-in provider could not sign you in. Please try again later."
	textUnavailable = "The sign-in provider cannot be reached. Please try again later."
	textIdentity    = "The sign-in provider's answer could not be accepted."
	textBusy        = "Too many people are signing in right now. Please reload this page in a few seconds."
	textFull        = "Too many people are signed in. Please try again later."
	textInternal    = "Your sign-in could not be stored. Please try again later."
	textLogout      = "You are signed out here, but that could not be stored. Please sign out again."
	textCrossOrigin = "This request came from another site."
)

const page = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign-in</title></head>
<body><p>%s</p></body></html>
`

// secureHeaders sets the headers of every reply: do not cache, frame or sniff
// it, and do not send its address to another site.
func secureHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// fail answers with a plain page that repeats nothing from the request, and
// logs the error.
func (c *Client) fail(w http.ResponseWriter, r *http.Request, what string, f *failure) {
	if f.err != nil {
		c.warn(r, what+" failed", f.err)
	}
	secureHeaders(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "10")
	}
	w.WriteHeader(f.status)
	fmt.Fprintf(w, page, f.text)
}

// redirect sends the browser to a path of this site with GET.
func redirect(w http.ResponseWriter, path string) {
	secureHeaders(w.Header())
	w.Header().Set("Location", escaped(path))
	w.WriteHeader(http.StatusSeeOther)
}

// escaped percent-encodes the characters that a header cannot hold.
func escaped(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if path[i] <= ' ' || path[i] > '~' {
			fmt.Fprintf(&b, "%%%02X", path[i])
			continue
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
