package sockjs

import (
	"net/http"
	"time"
)

// allowOrigin sets the CORS headers that let the requesting page read the
// answer and send cookies. The caller must have checked the origin.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers an OPTIONS preflight. It allows every origin, because the
// request that follows is checked itself.
func preflight(w http.ResponseWriter, r *http.Request, method string) {
	allowOrigin(w, r)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "OPTIONS, "+method)
	if names := r.Header.Get("Access-Control-Request-Headers"); names != "" {
		h.Set("Access-Control-Allow-Headers", names)
	}
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Max-Age", "31536000")
	cacheForAYear(h)
	w.WriteHeader(http.StatusNoContent)
}

// cacheForAYear sets the headers that the protocol requires for answers that
// never change. Expires is for old caches.
func cacheForAYear(h http.Header) {
	h.Set("Cache-Control", "public, max-age=31536000")
	h.Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
}

func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0")
}

// allowed reports whether r has the method. If not, allowed answers it: OPTIONS
// as a preflight, everything else with 405.
func allowed(w http.ResponseWriter, r *http.Request, method string) bool {
	switch r.Method {
	case method:
		return true
	case http.MethodOptions:
		preflight(w, r, method)
	default:
		w.Header().Set("Allow", "OPTIONS, "+method)
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
	return false
}
