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
	providerTimeout = 5 * time.Second // for one request to a provider, including its reply
	maxReplyBytes   = 1 << 20         // bytes of one reply
)

var (
	errNotSecure     = errors.New("oauth: the URL is neither https nor on loopback")
	errReplyTooLarge = errors.New("oauth: the reply is longer than 1 MiB")
)

// providerClient returns the HTTP client for all requests to providers. It
// limits the time and the size of a reply, sends nothing unencrypted over the
// network, and follows no redirect, which would send a secret to an address
// that is not configured.
func providerClient(base http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     bounded{base},
		Timeout:       providerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded rejects insecure requests and long replies.
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

// boundedBody returns an error at its limit, instead of EOF: half a reply is
// not a reply.
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

// getJSON fetches a JSON document into v, with the access token if there is
// one. If the status is not 200, the error is a [*ProviderError] with the
// status.
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

// decode reads one JSON document and nothing after it. Its errors are constant,
// because those of encoding/json quote the input.
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
