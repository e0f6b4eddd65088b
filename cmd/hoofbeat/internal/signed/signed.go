// Package signed posts JSON to a server that the operator has configured,
// signed as [webhook.Signature] does, and reads its answer.
//
//	c, err := signed.New(signed.Options{URL: "https://app.example.com/events", Secret: secret, Timeout: 2 * time.Second})
//	if err != nil {
//		return err
//	}
//	answer, err := c.Post(ctx, body, nil)
//
// It follows no redirects: a redirect would send the body to a server that is
// not configured.
package signed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/webhook"
)

// Errors of New. They do not contain the URL, which may contain a secret.
var (
	ErrURL      = errors.New("is not an absolute https URL without user, password and fragment")
	ErrInsecure = errors.New("is neither https nor http to this machine")
)

// idleTimeout is how long a connection is kept for the next request. It is less
// than servers keep theirs (Gunicorn 2 s, Node 5 s): a request that meets a
// connection that its server closes at this moment fails, and must not be
// repeated, because the server may have got it.
const idleTimeout = 1500 * time.Millisecond

// Options configure a [Client].
type Options struct {
	// URL is the address to post to: https, or http to this machine. Required.
	URL string
	// AllowHTTP accepts an http URL to any host.
	AllowHTTP bool
	// Secret signs the bodies. If it is empty, they are not signed.
	Secret string
	// Timeout limits the time of one request, with its answer. Required.
	Timeout time.Duration
	// Connections is how many idle connections are kept. Zero means 2.
	Connections int
	// MaxAnswer is how many bytes of an answer's body are read. Required.
	MaxAnswer int64
	// Transport makes the requests. Nil means a new one with the proxy of the
	// environment.
	Transport http.RoundTripper
}

// Client posts to one URL. It is safe for concurrent use.
type Client struct {
	o      Options
	place  string
	client http.Client
}

// Answer is a complete response.
type Answer struct {
	Status int
	Type   string // Content-Type
	Body   []byte
	More   bool // the body is longer than MaxAnswer: Body is its beginning
}

// Error says why there is no complete answer. Its text contains nothing of the
// URL's query and of the answer.
type Error struct {
	Cause error
	// Sent reports that the server may have got the request: there was a
	// connection.
	Sent bool
	// TimedOut reports that Options.Timeout was over.
	TimedOut bool
}

func (e *Error) Error() string { return e.Cause.Error() }
func (e *Error) Unwrap() error { return e.Cause }

// New returns a Client. The error is ErrURL or ErrInsecure.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || webhook.CheckURL(o.URL, true) != nil {
		return nil, ErrURL
	}
	if webhook.CheckURL(o.URL, o.AllowHTTP) != nil {
		return nil, ErrInsecure
	}
	place := *u
	place.RawQuery, place.ForceQuery = "", false
	if base, ok := http.DefaultTransport.(*http.Transport); ok && o.Transport == nil {
		t := base.Clone()
		t.MaxIdleConnsPerHost = max(o.Connections, 2)
		t.MaxIdleConns = t.MaxIdleConnsPerHost
		t.IdleConnTimeout = idleTimeout
		t.MaxResponseHeaderBytes = 64 << 10
		o.Transport = t
	}
	c := &Client{o: o, place: place.String()}
	c.client.Transport = o.Transport
	c.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Place returns the URL without its query, for logs.
func (c *Client) Place() string { return c.place }

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() { c.client.CloseIdleConnections() }

// Post sends body once, with more headers, and returns the answer, whatever its
// status. The error is an [*Error].
func (c *Client) Post(ctx context.Context, body []byte, more http.Header) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}
	fail := func(cause error) error {
		return &Error{Cause: cause, Sent: sent.Load(), TimedOut: errors.Is(ctx.Err(), context.DeadlineExceeded)}
	}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, c.o.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fail(errors.New("the request could not be made"))
	}
	for name, values := range more {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "hoofbeat")
	if c.o.Secret != "" {
		r.Header.Set(webhook.SignatureHeader, webhook.Signature([]byte(c.o.Secret), body, time.Now()))
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return nil, fail(c.cause(err))
	}
	defer resp.Body.Close()
	// The body is read even if it is not needed, so that the connection can be
	// reused.
	text, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxAnswer+1))
	if err != nil {
		return nil, fail(c.cause(err))
	}
	a := &Answer{Status: resp.StatusCode, Type: resp.Header.Get("Content-Type"), Body: text}
	if int64(len(text)) > c.o.MaxAnswer {
		a.Body, a.More = text[:c.o.MaxAnswer], true
	}
	return a, nil
}

// cause removes the URL from a net/http error.
func (c *Client) cause(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", c.o.Timeout)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it closed the connection before the answer was complete")
	}
	return err
}
