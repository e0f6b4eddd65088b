package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// maxAnswer is the maximum length of a response body, in bytes.
const maxAnswer = 64 << 10

// Reasons why a response is not an answer. No text quotes the response, because
// a backend may send back the question.
var (
	errRedirect = errors.New("it redirects, and redirects are not followed")
	errTooBig   = errors.New("the answer is longer than 64 KiB")
	errClosed   = errors.New("it closed the connection before the answer was complete")
	errRequest  = errors.New("the request failed, or the response is not HTTP")
)

// newClient returns a client that follows no redirects: a redirect would send
// credentials, and the right to decide, to a server that the operator has not
// configured.
func newClient(c *http.Client, concurrency int) *http.Client {
	own := http.Client{}
	if c != nil {
		own = *c
	} else if base, ok := http.DefaultTransport.(*http.Transport); ok {
		t := base.Clone()
		t.MaxIdleConnsPerHost = 2 * concurrency // there are two kinds of questions
		t.MaxIdleConns = t.MaxIdleConnsPerHost
		t.MaxResponseHeaderBytes = maxAnswer
		own.Transport = t
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// post sends a question to the backend. An error means that there is no answer.
func (w *Webhook) post(ctx context.Context, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return answer{}, errRequest
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "hoofbeat")
	// A question changes nothing, so net/http may repeat it if a kept
	// connection turns out to be closed. The empty list tells net/http so
	// without sending a header.
	r.Header["Idempotency-Key"] = []string{}
	if len(w.secret) > 0 {
		r.Header.Set(SignatureHeader, Signature(w.secret, body, time.Now()))
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return answer{}, w.cause(err)
	}
	defer resp.Body.Close()
	// Read the whole body, even if it is not needed, so that the connection can
	// be reused.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		w.warnOfStatus(status)
		return answer{decision: deny, status: status, maxAge: -1}, nil
	case status >= 300 && status < 400:
		return answer{}, errRedirect
	case status != http.StatusOK:
		return answer{}, fmt.Errorf("status %d", status)
	case err != nil:
		return answer{}, w.cause(err)
	case len(text) > maxAnswer:
		return answer{}, errTooBig
	}
	return parseAnswer(text)
}

// cause returns the part of a net/http error that is safe to log. The error
// itself may quote the URL or the response.
func (w *Webhook) cause(err error) error {
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %v", w.timeout)
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &op):
		return op // it has the address and the problem there
	case errors.As(err, &record):
		return record
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	default:
		return errRequest
	}
}

// warnOfStatus logs a rejection that may be about the broker rather than its
// client.
func (w *Webhook) warnOfStatus(status int) {
	const text = "the webhook's backend answers as to a stranger, and the client is refused"
	suppressed, ok := w.quiet.Allow(time.Now(), loglimit.Key{Kind: text})
	if !ok {
		return
	}
	attrs := []any{"url", w.place, "status", status, "key", "auth.webhook.secret", "hint", "is the secret the same on both sides?"}
	if len(w.secret) == 0 {
		attrs[len(attrs)-1] = "no secret is set, so the questions are not signed: does the backend want one?"
	}
	if suppressed > 0 {
		attrs = append(attrs, "suppressed", suppressed)
	}
	w.logger.Warn(text, attrs...)
}
