package oauth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// newKeySet returns the keys at a JWKS address. It reads them when first needed
// and again for a signature with an unknown key, but at most once in keysFresh.
func newKeySet(client *http.Client, address string) oidc.KeySet {
	throttled := *client
	throttled.Transport = &keyThrottle{base: client.Transport}
	return oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &throttled), address)
}

const (
	keysFresh = 5 * time.Second // how long to reuse an answer
	keysPause = time.Second     // how long to reuse a failure
)

// keyThrottle answers frequent requests for the keys from memory. Otherwise
// anyone could cause requests to the provider by posting logout tokens with bad
// signatures.
type keyThrottle struct {
	base http.RoundTripper

	mu     sync.Mutex // held during the request, so that only one runs at a time
	until  time.Time
	status int
	header http.Header
	body   []byte
	err    error
}

func (t *keyThrottle) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.until) {
		t.fetch(r)
	}
	if t.err != nil {
		return nil, t.err
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", t.status, http.StatusText(t.status)), StatusCode: t.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: t.header.Clone(), ContentLength: int64(len(t.body)), Body: io.NopCloser(bytes.NewReader(t.body)), Request: r,
	}, nil
}

func (t *keyThrottle) fetch(r *http.Request) {
	var resp *http.Response
	if resp, t.err = t.base.RoundTrip(r); t.err == nil {
		t.status, t.header = resp.StatusCode, resp.Header
		t.body, t.err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	pause := keysPause
	if t.err == nil && t.status == http.StatusOK {
		pause = keysFresh
	}
	t.until = time.Now().Add(pause)
}
