package webflow

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Info is a snapshot of an operation.
type Info struct {
	ID          string // "" in the mode Open, while only the page has named the operation
	WebSocketID string
	Owner       Owner
	Registered  bool      // a connected session waits for it
	Session     string    // the session that registered last, connected or not; "" if there was none
	Result      string    // latest result, "" while there is none
	Terminal    bool      // Result is final
	Delivered   bool      // Result was handed to a session
	Acked       bool      // the page acknowledged Result
	Expires     time.Time // when the Flow forgets the operation
}

// Lookup returns the operation with this id. The error is ErrUnknown if there is
// none, ErrUnavailable, ErrClosed, or that of ctx.
func (f *Flow) Lookup(ctx context.Context, operationID string) (Info, error) {
	if !validText(operationID, auth.MaxOperationBytes) {
		return Info{}, ErrUnknown
	}
	derived := f.derive(operationID)
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, done := f.bounded(ctx)
	defer done()
	op, err := f.lookUpID(ctx, operationID, derived)
	if err != nil {
		return Info{}, err
	}
	i := op.info()
	i.ID = operationID
	return i, nil
}

// Operations iterates over all operations, in no particular order. Each Info is
// current when the loop reaches it; operations announced after the start are
// not included.
func (f *Flow) Operations() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		f.mu.Lock()
		all := []*operation(slices.Clone(f.schedule))
		f.mu.Unlock()
		for some := range slices.Chunk(all, maxBurst) {
			for _, i := range f.infos(some) {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// infos returns the state of those operations that still exist.
func (f *Flow) infos(some []*operation) []Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Info, 0, len(some))
	for _, op := range some {
		if !op.ended() {
			list = append(list, op.info())
		}
	}
	return list
}

// info returns the state of an operation. The caller has the lock.
func (op *operation) info() Info {
	r := op.rec
	return Info{
		ID: r.ID, WebSocketID: r.WebSocketID, Owner: r.Owner, Registered: r.registered(), Session: r.Session,
		Result: r.Result, Terminal: r.Terminal, Delivered: op.offered, Acked: op.acked,
		Expires: time.Unix(0, r.Expires),
	}
}
