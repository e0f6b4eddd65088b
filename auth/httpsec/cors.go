package httpsec

import (
	"errors"
	"net/http"
)

// CORS configures an endpoint's answers to pages of other origins (the CORS
// protocol of the Fetch standard). The zero value lets such pages send simple
// requests and read the body.
type CORS struct {
	// Methods are the methods of the endpoint, such as "GET, POST".
	Methods string
	// Headers are the request headers that the endpoint reads, such as
	// "Authorization".
	Headers string
	// Expose are the response headers that a page may read, such as
	// "Retry-After".
	Expose string
	// Credentials lets browsers send cookies. It has no effect with a list of
	// origins that any site's pages can have, see [List.Anybody].
	Credentials bool
}

// maxAge is how long a browser may cache a preflight answer, in seconds.
const maxAge = "600"

var errForeign = errors.New("origin not allowed")

// own checks requests from pages of the requested host.
var own http.CrossOriginProtection

// Check returns the origin of the page that sent a request, the zero Origin if
// no page did, or an error if that page may not use the endpoint. It sets the
// CORS headers of the answer.
//
// Check allows the pages of the list and of the requested host. With loopback
// and an empty list, it allows all pages from this machine. It rejects a
// request without an Origin that changes something if Sec-Fetch-Site reports a
// page of another origin.
func (c CORS) Check(header http.Header, r *http.Request, list *List, loopback bool) (Origin, error) {
	header.Add("Vary", "Origin")
	o, err := RequestOrigin(r)
	switch {
	case err != nil:
		return Origin{}, err
	case o == Origin{}:
		return o, own.Check(r)
	case list.Allow(o) || loopback && list.Empty() && o.Loopback():
		c.allow(header, r, list)
		return o, nil
	case !list.AllowOrOwn(o, r):
		return Origin{}, errForeign
	}
	if err := own.Check(r); err != nil {
		return Origin{}, err
	}
	return o, nil
}

func (c CORS) allow(header http.Header, r *http.Request, list *List) {
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	if c.Credentials && list.Anybody() == "" {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	if c.Expose != "" && r.Method != http.MethodOptions {
		header.Set("Access-Control-Expose-Headers", c.Expose)
	}
}

// Preflight answers the OPTIONS request that a browser sends before a page's
// own request. Call it after Check.
func (c CORS) Preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", c.Methods)
	h.Set("Access-Control-Allow-Headers", c.Headers)
	h.Set("Access-Control-Max-Age", maxAge)
	w.WriteHeader(http.StatusNoContent)
}
