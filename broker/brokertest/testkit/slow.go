package testkit

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// SlowClient returns an HTTP client that sends nothing: each request
// is answered after a time, with 200 and what answer returns for its body. A
// request that is cancelled meanwhile fails. The client works in a synctest
// bubble.
func SlowClient(each time.Duration, answer func(body string) string) *http.Client {
	return &http.Client{Transport: slow{each, answer}}
}

type slow struct {
	each   time.Duration
	answer func(body string) string
}

// RoundTrip implements [http.RoundTripper].
func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(s.each):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(s.answer(string(body)))),
	}, nil
}
