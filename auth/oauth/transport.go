package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

const (
	providerTimeout = 5 * time.Second // for one request to a provider, its reply included
	maxReplyBytes   = 1 << 20         // bytes of one reply of a provider
)

var (
	errNotSecure     = errors.New("oauth: neither https nor loopback")
	errReplyTooLarge = errors.New("oauth: the reply is longer than 1 MiB")
)

// providerClient returns the HTTP client for all requests to providers. Nothing it does takes long, reads much, goes
// over the network in clear or follows a redirect, which would carry a secret to where nobody configured it.
func providerClient(base http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     bounded{base},
		Timeout:       providerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded refuses insecure requests and long replies.
type bounded struct{ base http.RoundTripper }

func (t bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if !httpsec.Secure(r.URL) {
		closeBody(r)
		return nil, errNotSecure
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxReplyBytes}
	return resp, nil
}

// boundedBody fails, rather than ends, when there is more than may be read: half a reply is no reply.
type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errReplyTooLarge
	}
	return n, err
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// getJSON fetches a JSON document into v. With an access token it presents that. The status of a reply that is no
// 200 is in a [*ProviderError].
func (p *provider) getJSON(ctx context.Context, client *http.Client, op, address, token string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return p.failed(op, err)
	}
	r.Header.Set("Accept", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		return p.failed(op, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &ProviderError{Provider: p.Name, Op: op, Status: resp.StatusCode}
	}
	return p.failed(op, decode(resp.Body, v))
}

// decode reads one JSON document and nothing after it. Its errors are constant: encoding/json's quote the input.
func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, errReplyTooLarge) {
			return errReplyTooLarge
		}
		return errMalformedReply
	}
	if _, err := d.Token(); err != io.EOF {
		return errMalformedReply
	}
	return nil
}
