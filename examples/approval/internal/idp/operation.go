package idp

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Results for the page, as Web Flow defines them.
const (
	confirmed = "CONFIRMED"
	canceled  = "CANCELED"
)

// maxPerUser is the maximum number of operations of one user that wait for the
// phone, one per browser tab. Each needs only the password, so a thief of the
// password must not be able to fill the phone.
const maxPerUser = 8

// verdict is the answer from the phone.
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

// operation is one sign-in that waits for the phone. Server.mu guards what
// changes.
type operation struct {
	id      string // secret: no page contains it
	page    string // its webSocketId
	login   *login
	request *request
	number  string
	expires time.Time

	informing sync.Mutex // one call of inform at a time

	verdict   verdict
	announced bool // the broker knows the operation
	reported  bool // the broker has the verdict
}

var (
	errNoOperation = errors.New("idp: there is no such request; it may have expired")
	errDecided     = errors.New("idp: the request has been answered")
	errTooMany     = errors.New("idp: too many requests wait")
)

// operationFor returns the operation of a login and a request. It returns the
// existing one if there is one, so that a page can be reloaded. Otherwise it
// creates one, announces it to the broker and shows it on the phone.
func (s *Server) operationFor(ctx context.Context, l *login, r *request) (*operation, error) {
	now := time.Now()
	s.mu.Lock()
	s.prune()
	mine, taken := 0, make(map[string]bool)
	for _, op := range s.operations {
		if !now.Before(op.expires) {
			continue
		}
		if op.login == l && op.request.raw == r.raw {
			s.mu.Unlock()
			return op, nil
		}
		if op.verdict != undecided { // no longer on the phone
			continue
		}
		taken[op.number] = true
		if op.login.user == l.user {
			mine++
		}
	}
	number, free := newNumber(taken)
	if mine >= maxPerUser || !free {
		s.mu.Unlock()
		return nil, errTooMany
	}
	id := newSecret()
	op := &operation{
		id: id, page: webflow.WebSocketID(id), login: l, request: r, number: number,
		expires: now.Add(s.o.OperationTTL).Truncate(time.Second),
	}
	s.operations[op.page] = op
	s.mu.Unlock()
	if err := s.inform(ctx, op); err != nil { // Run tries again, and the page does
		s.o.Logger.Warn("announcing an operation", "error", err)
	}
	s.wakePhone(ctx)
	return op, nil
}

// inform tells the broker what it does not know of an operation: that there is
// one, for which clients with a ticket may wait, and its verdict. The broker
// keeps an operation a little longer than the page waits.
func (s *Server) inform(ctx context.Context, op *operation) error {
	op.informing.Lock()
	defer op.informing.Unlock()
	s.mu.Lock()
	announced, v, reported := op.announced, op.verdict, op.reported
	s.mu.Unlock()
	if !announced {
		if err := s.o.Broker.Open(ctx, webflow.Operation{ID: op.id, TTL: time.Until(op.expires) + lateness}); err != nil {
			return err
		}
		s.mu.Lock()
		op.announced = true
		s.mu.Unlock()
	}
	if v == undecided || reported {
		return nil
	}
	err := s.o.Broker.Notify(ctx, op.id, v.result())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		op.reported = true
	case errors.Is(err, webflow.ErrUnknown): // the broker has forgotten it
		op.announced = false
	}
	return err
}

// Run informs the broker of what it did not take at first, because it was down,
// until ctx ends. A broker with a store needs to be told everything once; one
// without has forgotten it when it comes back.
func (s *Server) Run(ctx context.Context) {
	every := time.NewTicker(s.o.Retry)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		for _, op := range s.waiting() {
			if err := s.inform(ctx, op); err != nil && ctx.Err() == nil {
				s.o.Logger.Debug("informing the broker again", "error", err)
			}
		}
	}
}

// lateness is how long the broker keeps an operation after its end, so that a
// late result still reaches the page.
const lateness = 30 * time.Second

// Announce announces all operations to a new broker that knows none, and the
// verdicts that pages have not fetched.
func (s *Server) Announce(ctx context.Context) error {
	var errs []error
	for _, op := range s.waiting() {
		s.mu.Lock()
		op.announced, op.reported = false, false
		s.mu.Unlock()
		errs = append(errs, s.inform(ctx, op))
	}
	s.wakePhone(ctx)
	return errors.Join(errs...)
}

// left returns how many seconds an operation has left, rounded up: a page that
// reached zero before the server would get the same operation again.
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

// decide stores the phone's answer, once, and then notifies the page. The
// answer counts even if the page cannot be notified now.
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
	if err := s.inform(ctx, op); err != nil { // Run tries again
		s.o.Logger.Warn("reporting a result", "error", err)
	}
	s.wakePhone(ctx)
	return nil
}

func (s *Server) verdictOn(op *operation) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return op.verdict
}

// finish removes a decided operation, its login, and the login's operations in
// other tabs: each sign-in needs the password and the phone again. If several
// requests run at once, one succeeds.
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
