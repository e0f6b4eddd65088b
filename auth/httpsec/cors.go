package httpsec

import (
	"errors"
	"net/http"
)

// CORS is what an endpoint answers pages of other origins, so that browsers let
// them use it (the CORS protocol of the Fetch standard). The zero value lets them
// send simple requests and read the body.
type CORS struct {
	// Methods are the methods of the endpoint, such as "GET, POST".
	Methods string
	// Headers are the headers of a request that it reads, such as "Authorization".
	Headers string
	// Expose are the headers of its answers that a page may read, such as
	// "Retry-After".
	Expose string
	// Credentials lets browsers send cookies along. It has no effect with a list
	// of origins that anybody's pages can have, see [List.Anybody].
	Credentials bool
}

// maxAge is how long a browser may remember a preflight, in seconds.
const maxAge = "600"

var errForeign = errors.New("origin not allowed")

// own is the check for requests from pages of the host that is asked.
var own http.CrossOriginProtection

// Check returns the origin of the page that sent a request, the zero Origin if no
// page did, and an error if that page may not use the endpoint. It puts into the
// header of the answer what a browser wants to see.
//
// The pages of the list may, and those of the host that is asked; with loopback
// and an empty list, all that this machine serves. A request without an Origin
// that changes something is refused if Sec-Fetch-Site says that a page of another
// origin has sent it.
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

// Preflight answers the OPTIONS with which a browser asks before it sends the
// request of a page. Call it after Check.
func (c CORS) Preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", c.Methods)
	h.Set("Access-Control-Allow-Headers", c.Headers)
	h.Set("Access-Control-Max-Age", maxAge)
	w.WriteHeader(http.StatusNoContent)
}
