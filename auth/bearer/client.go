package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// callTimeout limits a request for an issuer's keys or about a token.
	callTimeout = 5 * time.Second
	// maxDocument limits a discovery document and a key set, in bytes.
	maxDocument = 1 << 20
	// maxAnswer limits the answer about a token, in bytes. It is small because
	// many answers are cached.
	maxAnswer = 64 << 10
)

var errTooBig = errors.New("the response is too big")

// newClient returns a client that follows no redirects and reads at most
// maxDocument bytes of a response. A redirect would send a token to a server
// that the operator has not configured, or fetch keys from one.
func newClient(c *http.Client) *http.Client {
	own := http.Client{Transport: defaultTransport()}
	if c != nil {
		own = *c
		if own.Transport == nil {
			own.Transport = http.DefaultTransport
		}
	}
	own.Transport = limited{own.Transport}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// defaultTransport returns http.DefaultTransport with enough idle connections
// for the maximum number of concurrent requests.
func defaultTransport() http.RoundTripper {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := base.Clone()
	t.MaxIdleConnsPerHost = maxQuestions
	return t
}

// limited limits the size of responses for readers that do not limit it
// themselves.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: maxDocument}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errTooBig
	}
	return n, err
}

// get fetches a document.
func get(ctx context.Context, c *http.Client, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	status, body, err := do(c, r, maxDocument)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: status %d", url, status)
	}
	return body, err
}

// do returns the status and the body of the answer to r. Its errors contain
// nothing from the body.
func do(c *http.Client, r *http.Request, limit int64) (int, []byte, error) {
	r.Header.Set("Accept", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errTooBig
	}
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", r.URL, err)
	}
	return resp.StatusCode, body, nil
}
