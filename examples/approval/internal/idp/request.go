package idp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// request is a valid authorization request (RFC 6749 section 4.1.1, RFC 7636
// section 4.3).
type request struct {
	raw       string // the unmodified query, with which the browser returns
	client    *Client
	redirect  string
	state     string
	nonce     string
	challenge string
	scopes    []string
}

// challengeLength is the length of a SHA-256 in base64url.
const challengeLength = 43

// parse parses an authorization request. If the client or the redirect URL is
// invalid, it returns a page for the user; any other error is a code for the
// client.
func (s *Server) parse(raw string) (r *request, page *problem, code string) {
	q, err := parameters(raw)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "This request is malformed."}, ""
	}
	c := s.clients[q["client_id"]]
	if c == nil {
		return nil, &problem{http.StatusBadRequest, "The application that sent you here is not registered."}, ""
	}
	if !c.redirectsTo(q["redirect_uri"]) {
		return nil, &problem{http.StatusBadRequest, "The application that sent you here requested a redirect address that is not registered."}, ""
	}
	r = &request{
		raw: raw, client: c, redirect: q["redirect_uri"], state: q["state"], nonce: q["nonce"],
		challenge: q["code_challenge"], scopes: strings.Fields(q["scope"]),
	}
	switch {
	case q["response_type"] == "":
		return r, nil, "invalid_request"
	case q["response_type"] != "code":
		return r, nil, "unsupported_response_type"
	case len(r.challenge) != challengeLength || q["code_challenge_method"] != "S256":
		return r, nil, "invalid_request"
	case q["request"] != "":
		return r, nil, "request_not_supported"
	case q["request_uri"] != "":
		return r, nil, "request_uri_not_supported"
	case q["response_mode"] != "" && q["response_mode"] != "query":
		return r, nil, "invalid_request"
	case !within(r.scopes, c.Scopes):
		return r, nil, "invalid_scope"
	case slices.Contains(strings.Fields(q["prompt"]), "none"): // every sign-in needs the user
		return r, nil, "login_required"
	}
	return r, nil, ""
}

// answer redirects the browser to the client, with our issuer name (RFC 9207).
func (s *Server) answer(w http.ResponseWriter, r *request, name, value string) {
	q := url.Values{name: {value}, "iss": {s.o.Issuer}}
	if r.state != "" {
		q.Set("state", r.state)
	}
	separator := "?"
	if strings.Contains(r.redirect, "?") {
		separator = "&"
	}
	w.Header().Set("Location", r.redirect+separator+q.Encode())
	w.WriteHeader(http.StatusFound)
}
