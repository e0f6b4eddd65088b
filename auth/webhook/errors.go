package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// ErrUnavailable is a question that the backend has not answered as it should, or that was not put to it because the
// circuit is open or too many others are waiting.
var ErrUnavailable = errors.New("the backend gives no answer")

// errQueue is a question whose turn did not come.
var errQueue = fmt.Errorf("%w: too many questions at once", ErrUnavailable)

// openError is the refusal of an open circuit.
type openError struct {
	wait time.Duration // until the next probe
}

func (*openError) Error() string { return "the backend gives no answer: the circuit is open" }
func (*openError) Unwrap() error { return ErrUnavailable }

// failure is a refusal with a cause for the operator's log.
type failure struct {
	refusal *auth.Refusal
	cause   error
}

func (f *failure) Error() string   { return "webhook: " + f.cause.Error() }
func (f *failure) Unwrap() []error { return []error{f.refusal, f.cause} }

// refused refuses one client. What it is told is the constant text of a Refusal without a reason.
func refused(cause error) error { return &failure{&auth.Refusal{}, cause} }

// refusedForNow refuses a client about whom nobody has said anything.
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
	// errPassed is a pass that nobody takes up. The caller may: it can tell it from a no.
	errPassed = fmt.Errorf("%w: %w", auth.ErrDenied, auth.ErrNotMine)
	// errDeniedForNow is what an open circuit says to a subscribe or send. It is an ErrDenied so that the broker does
	// not log each of them: that the circuit is open has been logged.
	errDeniedForNow = fmt.Errorf("%w: webhook: %w", auth.ErrDenied, &openError{})
)
