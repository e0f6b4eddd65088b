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
	// callTimeout is the longest that the keys of an issuer or the answer about a token may take.
	callTimeout = 5 * time.Second
	// maxDocument bounds a discovery document and a key set.
	maxDocument = 1 << 20
	// maxAnswer bounds the answer about a token. Many answers are remembered.
	maxAnswer = 64 << 10
)

var errTooBig = errors.New("the response is too big")

// newClient returns a client that follows no redirect and reads no more than maxDocument bytes of a response. A
// redirect would take a token, or the trust in a key set, to a place that the operator has not named.
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

// defaultTransport is http.DefaultTransport with enough idle connections for as many questions as go out at once.
func defaultTransport() http.RoundTripper {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := base.Clone()
	t.MaxIdleConnsPerHost = maxQuestions
	return t
}

// limited bounds the bodies of responses for readers that do not do so themselves.
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

// do returns the status and the body of the answer to r. Nothing of the body is in an error.
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
