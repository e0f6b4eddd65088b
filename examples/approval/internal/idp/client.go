package idp

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
)

// Client is a registered application.
type Client struct {
	// ID and Secret are its credentials.
	ID, Secret string
	// Name is shown to users.
	Name string
	// RedirectURLs are the permitted redirect URLs, compared byte for byte.
	RedirectURLs []string
	// Scopes are the scopes that it may request.
	Scopes []string
	// Introspects reports whether it may introspect tokens, as a resource
	// server does.
	Introspects bool
}

func (c *Client) redirectsTo(address string) bool {
	return address != "" && slices.Contains(c.RedirectURLs, address)
}

// caller authenticates the client of a request to the token, revocation or
// introspection endpoint: by HTTP Basic or by the form (RFC 6749 section
// 2.3.1), but not both.
func (s *Server) caller(r *http.Request) *Client {
	id, secret, basic := r.BasicAuth()
	if basic {
		var err1, err2 error
		id, err1 = url.QueryUnescape(id)
		secret, err2 = url.QueryUnescape(secret)
		if err1 != nil || err2 != nil || r.PostForm.Has("client_secret") {
			return nil
		}
		if named := r.PostForm.Get("client_id"); named != "" && named != id {
			return nil
		}
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	c := s.clients[id]
	if c == nil || subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) != 1 {
		return nil
	}
	return c
}
