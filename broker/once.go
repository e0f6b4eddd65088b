package broker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/dedup"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A SEND with a message-dedup-id is accepted once. A client that has lost its
// connection sends again whatever has no RECEIPT: if the message was accepted
// in the last two minutes, from the same user and for the same destination, the
// RECEIPT says duplicate:true and nothing else happens. If the first SEND has
// not finished, its duplicates get its outcome; if it fails, the id is free.

// headerDedup names the id of a message.
const headerDedup = "message-dedup-id"

// saysDuplicate is the header of the RECEIPT for a message that was accepted
// before.
const saysDuplicate = "duplicate:true\n"

// onceKey returns the id of a message for a [QueueStore] or [HistoryStore], which
// knows those that brokers before this one have accepted.
func onceKey(user, destination, id string) string {
	k := dedup.KeyOf(user, topics.Collapse(destination), id)
	return base64.RawURLEncoding.EncodeToString(k[:])
}

// onceOf returns the onceKey of a publication that is sent by from, nil for the
// program, or "" if it has no id.
func (p *publication) onceOf(destination string, from *session) string {
	for i := range p.Headers {
		if h := &p.Headers[i]; h.Name == headerDedup {
			user := ""
			if from != nil {
				user = from.userName()
			}
			return onceKey(user, destination, h.Value)
		}
	}
	return ""
}

// remember has the window know the messages that the store knows. They count
// in no share, because the store does not know whose they are.
func (b *Broker) remember(store QueueStore) {
	for once, at := range store.Remembered() {
		b.rememberOnce(once, at)
	}
}

// rememberOnce has the window know the message of an onceKey.
func (b *Broker) rememberOnce(once string, at time.Time) {
	text, err := base64.RawURLEncoding.DecodeString(once)
	if k := (dedup.Key{}); err == nil && len(text) == len(k) {
		copy(k[:], text)
		b.once.Remember(k, time.Since(at))
	}
}

// errNotAccepted is the outcome of a SEND that ended without an error of its
// own, such as by a panic of a handler.
var errNotAccepted = &Error{Reason: ReasonInternalError, Message: "the message was not accepted"}

// sendOnce handles a SEND with a message-dedup-id.
func (s *session) sendOnce(f *frames.Frame, asks asks, bt *batch) *Error {
	d, fail := s.sendable(f, bt) // a destination that is denied now is denied for duplicates too
	if fail != nil {
		return fail
	}
	first, earlier, fail := s.beginOnce(d.Destination, f)
	if fail != nil {
		return fail
	}
	if earlier != nil {
		s.duplicate(f, earlier, bt)
		return nil
	}
	var outcome error = errNotAccepted
	pending := false
	defer func() {
		if !pending {
			first.End(outcome)
		}
	}()
	later, fail := s.sendTo(d, f, asks, bt)
	switch {
	case fail != nil:
		outcome = fail
	case later != nil:
		pending = true
		answer := s.promise(f, headersSize(f.Headers)+len(f.Body))
		if later.says != "" {
			answer.replace(s.receiptFrame(f, later.says))
		}
		var again []byte
		if s.b.o.QueueStore != nil || s.b.o.HistoryStore != nil {
			again = s.receiptFrame(f, saysDuplicate)
		}
		later.whenEnded(func(err error) {
			if errors.Is(err, ErrDuplicate) { // accepted by a broker before this one
				s.b.stats.duplicates.Add(1)
				answer.replace(again)
				err = nil
			}
			first.End(err)
			answer.conclude(err)
		})
	default:
		outcome = nil
		s.receipt(f, bt)
	}
	return fail
}

// duplicate answers a SEND whose message was accepted before, or is being
// accepted.
func (s *session) duplicate(f *frames.Frame, earlier *dedup.Attempt, bt *batch) {
	s.b.stats.duplicates.Add(1)
	receipt := s.receiptFrame(f, saysDuplicate)
	if earlier.Accepted() {
		if receipt != nil {
			s.out.respond(receipt, bt)
		}
		return
	}
	answer := s.promise(f, headersSize(f.Headers))
	answer.replace(receipt)
	earlier.Then(answer.conclude)
}

// dedupKey returns the key of the message of a SEND. topics.Collapse makes all
// spellings of a destination one.
func (s *session) dedupKey(d topics.Destination, f *frames.Frame) (k dedup.Key, _ *Error) {
	id, user := f.Get(headerDedup), s.userName()
	switch {
	case id == "":
		return k, failure(ReasonProtocolError, "%s is empty", headerDedup)
	case user == "":
		return k, failure(ReasonProtocolError, "%s needs a user: this session is anonymous, and the ids of all anonymous clients would be one user's", headerDedup)
	}
	return dedup.KeyOf(user, topics.Collapse(d.Name), id), nil
}

// beginOnce begins the attempt to have the message of a SEND accepted, or
// returns the earlier attempt.
func (s *session) beginOnce(d topics.Destination, f *frames.Frame) (first, earlier *dedup.Attempt, _ *Error) {
	k, fail := s.dedupKey(d, f)
	if fail != nil {
		return nil, nil, fail
	}
	share := s.userName()
	if s.owner() == nil { // a backend
		share = ""
	}
	first, earlier, err := s.b.once.Begin(k, share, s.b.dedupLimits())
	if err != nil {
		return nil, nil, tooManyIDs(err)
	}
	return first, earlier, nil
}

func (b *Broker) dedupLimits() dedup.Limits {
	l := b.policy.Load().limits
	return dedup.Limits{IDs: l.DedupIDs, IDsPerOwner: l.DedupIDsPerUser}
}

// tooManyIDs returns the error for the client about a window that is full.
func tooManyIDs(err error) *Error {
	var full *dedup.FullError
	if !errors.As(err, &full) {
		return errNotAccepted
	}
	key := "limits.dedup_ids"
	if full.Owner {
		key = "limits.dedup_ids_per_user"
	}
	return failure(ReasonLimit, "%s (%s)", full.Error(), key)
}

// unknown refuses a SEND that cannot be in a transaction because its message
// was accepted before.
func (s *session) unknown(d topics.Destination, f *frames.Frame) *Error {
	k, fail := s.dedupKey(d, f)
	if fail == nil && s.b.once.Known(k) {
		fail = duplicateInTransaction(f)
	}
	return fail
}

// beginInCommit begins the attempt to have a message of a transaction accepted.
// A transaction cannot contain a duplicate.
func (s *session) beginInCommit(d topics.Destination, f *frames.Frame) (*dedup.Attempt, *Error) {
	first, earlier, fail := s.beginOnce(d, f)
	if earlier != nil {
		fail = duplicateInTransaction(f)
	}
	return first, fail
}

func duplicateInTransaction(f *frames.Frame) *Error {
	return failure(ReasonProtocolError, "the transaction contains a duplicate: the message with the %s %s was accepted before, or is being accepted",
		headerDedup, strconv.QuoteToASCII(brief(f.Get(headerDedup))))
}

// publishOnce is Publish for a message with a message-dedup-id. The program is
// one user, and its ids count against no share.
func (b *Broker) publishOnce(ctx context.Context, m *Message, d destination, asks asks) (err error) {
	id := m.Header(headerDedup)
	if id == "" {
		return fmt.Errorf("%w: %s is empty", ErrHeader, headerDedup)
	}
	first, earlier, full := b.once.Begin(dedup.KeyOf("", topics.Collapse(d.Name), id), "", b.dedupLimits())
	if full != nil {
		return &refusal{ErrLimit, tooManyIDs(full)}
	}
	if earlier != nil {
		return b.publishedBefore(ctx, earlier)
	}
	pending := false
	err = errNotAccepted
	defer func() {
		if !pending {
			first.End(err)
		}
	}()
	bt, p, err := b.beginTimed(m, d.Name, asks)
	if err != nil {
		return err
	}
	defer bt.flushLater()
	_, later, err := b.accept(d, p, nil, bt)
	if err != nil || later == nil {
		return err
	}
	pending = true
	done := new(completion)
	later.whenEnded(func(err error) {
		if errors.Is(err, ErrDuplicate) {
			b.stats.duplicates.Add(1)
			first.End(nil)
		} else {
			first.End(err)
		}
		done.end(err)
	})
	return b.stored(ctx, done, bt)
}

// publishedBefore waits for the outcome of the first Publish.
func (b *Broker) publishedBefore(ctx context.Context, earlier *dedup.Attempt) error {
	b.stats.duplicates.Add(1)
	outcome := make(chan error, 1)
	earlier.Then(func(err error) { outcome <- err })
	select {
	case err := <-outcome:
		if err != nil {
			return err
		}
		return ErrDuplicate
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ctx.Done():
		return ErrClosed
	}
}
