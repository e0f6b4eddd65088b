package idp

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Results that the page is told, in the words of Web Flow.
const (
	confirmed = "CONFIRMED"
	canceled  = "CANCELED"
)

// maxPerLogin is how many sign-ins of one login may wait, in so many tabs.
const maxPerLogin = 8

// verdict is what the person with the phone has said.
type verdict uint8

const (
	undecided verdict = iota
	approved
	denied
)

func (v verdict) result() string {
	if v == approved {
		return confirmed
	}
	return canceled
}

// operation is one sign-in that waits for the phone. Server.mu guards verdict.
type operation struct {
	id      string // secret: it is in no page
	page    string // its webSocketId
	login   *login
	request *request
	number  string
	expires time.Time
	verdict verdict
}

var (
	errNoOperation = errors.New("idp: there is no such request; it may have expired")
	errDecided     = errors.New("idp: the request has been answered")
	errTooMany     = errors.New("idp: too many requests of one login wait")
)

// operationFor returns the operation of a login and a request: the one that is
// there, so that a page can be reloaded, or else a new one, which is announced to
// the broker and shown on the phone.
func (s *Server) operationFor(ctx context.Context, l *login, r *request) (*operation, error) {
	now := time.Now()
	s.mu.Lock()
	s.prune()
	live := 0
	for _, op := range s.operations {
		if op.login != l || !now.Before(op.expires) {
			continue
		}
		if op.request.raw == r.raw {
			s.mu.Unlock()
			return op, nil
		}
		live++
	}
	if live >= maxPerLogin {
		s.mu.Unlock()
		return nil, errTooMany
	}
	id := newSecret()
	op := &operation{
		id: id, page: webflow.WebSocketID(id), login: l, request: r, number: newNumber(),
		expires: now.Add(s.o.OperationTTL).Truncate(time.Second),
	}
	s.operations[op.page] = op
	s.mu.Unlock()
	if err := s.announce(ctx, op); err != nil {
		// The page asks for a ticket until it gets one, and a restart announces it.
		s.o.Logger.Warn("announcing an operation", "error", err)
	}
	s.wakePhone(ctx)
	return op, nil
}

// announce tells the broker of an operation, which whoever has a ticket for it may
// wait for, and keeps it a little longer than the page waits.
func (s *Server) announce(ctx context.Context, op *operation) error {
	return s.o.Broker.Open(ctx, webflow.Operation{ID: op.id, TTL: time.Until(op.expires) + lateness})
}

// lateness is how long after its end the broker still knows an operation, so that
// the page that was told late is not told nothing.
const lateness = 30 * time.Second

// Announce tells a broker that knows nothing of all operations, and of the
// verdicts that their pages have not come for.
func (s *Server) Announce(ctx context.Context) error {
	var errs []error
	for _, op := range s.waiting() {
		err := s.announce(ctx, op)
		if v := s.verdictOn(op); err == nil && v != undecided {
			err = s.o.Broker.Notify(ctx, op.id, v.result())
		}
		errs = append(errs, err)
	}
	s.wakePhone(ctx)
	return errors.Join(errs...)
}

// left is how many seconds an operation has left, rounded up: a page that counted
// down sooner than we do would be shown the same operation once more.
func left(op *operation) int {
	return max(0, int((time.Until(op.expires)+time.Second-1)/time.Second))
}

// waiting returns the operations that have not ended.
func (s *Server) waiting() []*operation {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*operation
	for _, op := range s.operations {
		if now.Before(op.expires) {
			all = append(all, op)
		}
	}
	return all
}

// decide takes the phone's answer, once, and then tells the page that it is worth
// asking again. The answer counts whether or not the page can be told.
func (s *Server) decide(ctx context.Context, page string, v verdict) error {
	s.mu.Lock()
	op := s.operations[page]
	var err error
	switch {
	case op == nil || !time.Now().Before(op.expires):
		err = errNoOperation
	case op.verdict != undecided:
		err = errDecided
	default:
		op.verdict = v
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.o.Broker.Notify(ctx, op.id, v.result()); err != nil {
		s.o.Logger.Warn("notifying a page", "error", err)
	}
	s.wakePhone(ctx)
	return nil
}

func (s *Server) verdictOn(op *operation) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return op.verdict
}

// finish takes an operation that has been decided out of the world, its login
// and what else it waits for in other tabs with it: each sign-in takes the password
// and the phone anew. Of several requests at once one succeeds.
func (s *Server) finish(op *operation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.operations[op.page] != op {
		return false
	}
	delete(s.logins, op.login.id)
	maps.DeleteFunc(s.operations, func(_ string, other *operation) bool { return other.login == op.login })
	return true
}
