package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// ErrUnavailable reports that the backend gave no valid answer, or was not
// asked because the circuit is open or too many other questions are waiting.
var ErrUnavailable = errors.New("the backend does not answer")

// errQueue reports that a question got no turn.
var errQueue = fmt.Errorf("%w: too many questions at once", ErrUnavailable)

// openError is the error of an open circuit.
type openError struct {
	wait time.Duration // until the next probe
}

func (*openError) Error() string { return "the backend does not answer: the circuit is open" }
func (*openError) Unwrap() error { return ErrUnavailable }

// refuses returns an openError if no question may be sent now.
func (w *Webhook) refuses(now time.Time) error {
	if wait, open := w.breaker.Open(now); open {
		return &openError{wait: wait}
	}
	return nil
}

// failure is a refusal for the client with a cause for the operator's log.
type failure struct {
	refusal *auth.Refusal
	cause   error
}

func (f *failure) Error() string   { return "webhook: " + f.cause.Error() }
func (f *failure) Unwrap() []error { return []error{f.refusal, f.cause} }

// refused rejects one client. The client gets the constant text of a Refusal
// without a reason.
func refused(cause error) error { return &failure{&auth.Refusal{}, cause} }

// refusedForNow rejects a client because there is no answer about it.
func refusedForNow(cause error) error {
	retry := time.Second
	var open *openError
	if errors.As(cause, &open) {
		retry = max(retry, open.wait)
	}
	return &failure{&auth.Refusal{
		Status:     http.StatusServiceUnavailable,
		RetryAfter: retry,
		Reason:     "authentication is not available now, try again later",
	}, cause}
}

var (
	// errPassed reports a pass without a Fallback. The caller can distinguish
	// it from a denial and ask somebody else.
	errPassed = fmt.Errorf("%w: %w", auth.ErrDenied, auth.ErrNotMine)
	// errDeniedForNow denies a subscribe or send while the circuit is open. It
	// is an ErrDenied so that the broker does not log each one: the open
	// circuit was logged already.
	errDeniedForNow = fmt.Errorf("%w: webhook: %w", auth.ErrDenied, &openError{})
)
