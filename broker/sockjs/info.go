package sockjs

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"math/rand/v2"
	"net/http"
)

// greeting answers people who open the endpoint in a browser.
func greeting(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	_, _ = io.WriteString(w, "Welcome to SockJS!\n") // the browser may be gone
}

// info describes the endpoint to the client. The answer contains nothing that
// pages of other sites must not know.
func (h *Endpoint) info(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	body, err := json.Marshal(struct {
		Entropy      uint32   `json:"entropy"`
		Origins      []string `json:"origins"`
		CookieNeeded bool     `json:"cookie_needed"`
		WebSocket    bool     `json:"websocket"`
	}{rand.Uint32(), []string{"*:*"}, h.o.Cookie != "" || h.o.OwnCookie != "", !h.o.NoWebSocket})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	allowOrigin(w, r)
	noStore(w)
	h.o.issue(w, r)
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = w.Write(body) // on an error the client asks again
}

// iframe is the page through which a browser without CORS uses the broker.
// Requests made from it have the broker's own origin no matter which page
// frames it, so it may be framed by the broker's own pages only.
type iframe struct {
	page []byte
	tag  string
}

func newIframe(script string) *iframe {
	if script == "" {
		return nil
	}
	page := []byte("<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>SockJS</title>\n" +
		"<script src=\"" + html.EscapeString(script) + "\"></script>\n" +
		"<script>SockJS.bootstrap_iframe();</script>\n")
	sum := sha256.Sum256(page)
	return &iframe{page: page, tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

func (f *iframe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !allowed(w, r, http.MethodGet) {
		return
	}
	h := w.Header()
	h.Set("ETag", f.tag)
	cacheForAYear(h)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Content-Security-Policy", "frame-ancestors 'self'")
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "text/html; charset=UTF-8")
	_, _ = w.Write(f.page) // the browser may be gone
}
