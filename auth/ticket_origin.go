package auth

import "net/http"

// origin returns the origin that a request comes from, "" if no page has sent it, or an error if that origin may not
// ask. It sets the CORS headers for those that may.
func (h *ticketHandler) origin(header http.Header, r *http.Request) (string, error) {
	header.Add("Vary", "Origin")
	all := r.Header.Values("Origin")
	if len(all) == 0 {
		if h.own.Check(r) != nil { // Sec-Fetch-Site says what Origin does not
			return "", foreignOrigin()
		}
		return "", nil
	}
	o, ok := parseOrigin(all[0])
	if len(all) > 1 || !ok {
		return "", foreignOrigin()
	}
	if h.origins.allow(o) {
		header.Set("Access-Control-Allow-Origin", all[0])
		if h.o.Session != nil {
			header.Set("Access-Control-Allow-Credentials", "true")
		}
		return o.String(), nil
	}
	if !ownOrigin(o, r) || h.own.Check(r) != nil {
		return "", foreignOrigin()
	}
	return o.String(), nil
}

// ownOrigin reports whether o is where the request was sent to. Without TLS there may be a proxy that ends it, so then
// the scheme does not tell.
func ownOrigin(o origin, r *http.Request) bool {
	own, ok := parseOrigin(o.scheme + "://" + r.Host)
	return ok && own == o && (r.TLS == nil || o.scheme == "https")
}

// preflight answers a browser that asks on behalf of an allowed page (Fetch, CORS protocol).
func preflight(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

func foreignOrigin() error {
	return &Refusal{Status: http.StatusForbidden, Reason: "origin not allowed"}
}
