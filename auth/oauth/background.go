package oauth

import (
	"io"
	"net/http"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// HTTPClient returns a client whose requests carry the user's access token, as
// [Client.Token] returns it. On a 401 with invalid_token it refreshes the
// token, once for all concurrent requests, and sends the request again if its
// body can be repeated. It sends the token only over https or to loopback, and
// not to another host after a redirect.
//
// Only the context limits the time of a request. Errors are those of
// [Client.Token] inside a [*url.Error].
func (c *Client) HTTPClient(user, provider string) *http.Client {
	return &http.Client{Transport: &bearer{client: c, key: Key{user, provider}}}
}

type bearer struct {
	client *Client
	key    Key
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if elsewhere(r) {
		return b.client.o.Transport.RoundTrip(r)
	}
	if !httpsec.Secure(r.URL) {
		closeBody(r)
		return nil, errNotSecure
	}
	t, err := b.client.current(r.Context(), b.key, "")
	if err != nil {
		closeBody(r)
		return nil, err
	}
	resp, err := b.send(r, t)
	if err != nil || !refusesToken(resp) {
		return resp, err
	}
	again, ok := repeat(r)
	if !ok {
		return resp, nil
	}
	drain(resp)
	if t, err = b.client.current(r.Context(), b.key, t.Access); err != nil {
		closeBody(again)
		return nil, err
	}
	return b.send(again, t)
}

func (b *bearer) send(r *http.Request, t *Token) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+t.Access)
	return b.client.o.Transport.RoundTrip(r)
}

// elsewhere reports whether a redirect has led to another origin than the first
// request's.
func elsewhere(r *http.Request) bool {
	first := r
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return origin(first.URL) != origin(r.URL)
}

// refusesToken reports whether a resource rejected the token (RFC 6750 section
// 3.1).
func refusesToken(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if strings.Contains(strings.ToLower(challenge), "bearer") && strings.Contains(challenge, "invalid_token") {
			return true
		}
	}
	return false
}

// repeat returns a copy of r to send again, if its body can be repeated.
func repeat(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again := *r
	again.Body = body
	return &again, true
}

// drain makes the connection reusable if the rest of the reply is short.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // best effort
	resp.Body.Close()
}
