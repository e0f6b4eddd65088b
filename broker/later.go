package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/hoofbeat/hoofbeat/frames"
)

// Later lets the handler return before the request is handled. The session goes
// on with its next frame, and the RECEIPT of this one, or the answer to a
// SUBSCRIBE, waits until done is called, from any goroutine. The error is
// treated as one that the handler returns; only the first call has an effect.
// The handler must return nil after Later.
//
// At most Limits.InFlight requests of a session, and Limits.InFlightBytes of
// their bytes, wait so. Beyond that the session stops reading. It then ends with
// an ERROR if no request is done within 30 s, so done must be called sooner.
// Later frames of the session may be handled before this request is, so the
// handler itself keeps the order of its requests if that matters. The session
// may end meanwhile: Reply then has no effect.
//
// Headers and Body stay valid after the handler has returned. Later must be
// called on the goroutine of the handler.
func (r *Request) Later() (done func(error)) {
	r.Headers, r.Body = slices.Clone(r.Headers), bytes.Clone(r.Body)
	for i, h := range r.Headers { // a header's string keeps the whole header block alive
		r.Headers[i] = frames.Header{Name: strings.Clone(h.Name), Value: strings.Clone(h.Value)}
	}
	c := new(completion)
	r.later = c
	var once sync.Once
	return func(err error) { once.Do(func() { c.end(r.outcome(err)) }) }
}

// errTold is the outcome of a request whose failure the client was told of
// otherwise: it gets neither RECEIPT nor ERROR.
var errTold = errors.New("broker: the client was told")

// outcome returns the error that the request's answer ends with.
func (r *Request) outcome(err error) error {
	if err == nil {
		return nil
	}
	s := r.s
	fail := s.handlerFailed(r.Header(frames.HeaderDestination), err)
	f := frames.Frame{Command: frames.CommandSend, Headers: r.Headers}
	if r.Subscribe {
		f.Command = frames.CommandSubscribe
	} else if _, ok := f.Lookup(frames.HeaderTransaction); ok {
		return fail // the answer is that of the COMMIT
	}
	return s.softlyLater(fail, &f)
}

// softlyLater is softly on any goroutine. It returns the outcome of the request:
// errTold if the client was told.
func (s *session) softlyLater(fail *Error, f *frames.Frame) error {
	bt := s.b.newBatch()
	defer bt.flushLater()
	if s.softly(fail, f, bt) {
		return errTold
	}
	return fail
}

// softened returns a completion for the answer to a COMMIT. It ends as later does,
// or with errTold if the client is told of a denial otherwise.
func (s *session) softened(later *completion, f *frames.Frame) *completion {
	if later == nil || !s.b.o.SoftDenial {
		return later
	}
	kept := frames.Frame{Command: f.Command}
	if id, ok := f.Lookup(frames.HeaderReceipt); ok {
		kept.Headers = []frames.Header{{Name: frames.HeaderReceipt, Value: strings.Clone(id)}}
	}
	soft := new(completion)
	later.whenEnded(func(err error) {
		var fail *Error
		if errors.As(err, &fail) {
			err = s.softlyLater(fail, &kept)
		}
		soft.end(err)
	})
	return soft
}

// handlerFailed returns the error for the client about an error of a handler,
// which it logs if the client must not see it.
func (s *session) handlerFailed(destination string, err error) *Error {
	var public *Error
	if errors.As(err, &public) {
		return public
	}
	s.b.log(slog.LevelError, "a handler failed", s.source(destination), "session", s.id, "destination", destination, "error", err)
	return &Error{Reason: ReasonInternalError, Message: "internal error"}
}

// conclude settles an answer with the outcome of its operation.
func (a *response) conclude(err error) {
	switch {
	case err == errTold:
		a.withdraw()
		return
	case errors.Is(err, errNobody):
		a.unroutable()
		return
	}
	a.settle(notStored(err))
}

// answerLater answers a SUBSCRIBE to a handler when later has ended.
func (s *session) answerLater(sub *subscriber, f *frames.Frame, later *completion) {
	a := s.promise(f, headersSize(f.Headers))
	s.out.mu.Lock()
	a.sub = sub
	s.out.mu.Unlock()
	later.whenEnded(func(err error) {
		if err != nil {
			s.out.discard(sub)
		}
		a.conclude(err)
	})
}

// Forward publishes m as [Broker.Publish] does, without asking the Authorizer,
// but on the client's account: a message for a queue counts against the client's
// share of it. The RECEIPT of the request waits until the message is stored. A
// handler that stores a SEND for a worker uses it. The error is one that the
// handler may return: it tells the client which limit was reached.
//
// Forward must be called on the goroutine of the handler, at most once, and not
// together with Later.
func (r *Request) Forward(ctx context.Context, m *Message) error {
	b := r.s.b
	d, err := b.publishable(ctx, m)
	if err != nil {
		return err
	}
	asks := asked(m.Headers)
	if asks&asksOnce != 0 {
		return fmt.Errorf("%w: a message that is forwarded cannot have %s", ErrHeader, headerDedup)
	}
	bt, p, err := b.beginTimed(m, d.Name, asks)
	if err != nil {
		return err
	}
	defer bt.flushLater()
	_, later, err := b.accept(d, p, r.s, bt)
	switch {
	case errors.Is(err, errNobody):
		return err
	case err != nil:
		return refusedByQueue(err)
	}
	r.later = later
	return nil
}
