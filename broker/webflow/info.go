package webflow

import (
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

// Lookup returns the operation with this id, and whether it exists.
func (f *Flow) Lookup(operationID string) (Info, bool) {
	if !validText(operationID, auth.MaxOperationBytes) {
		return Info{}, false
	}
	derived := f.derive(operationID)
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.find(operationID, derived)
	if op == nil {
		return Info{}, false
	}
	i := f.info(op)
	i.ID = operationID
	return i, true
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
		if f.byWebSocketID[op.webSocketID] == op {
			list = append(list, f.info(op))
		}
	}
	return list
}

// info returns the state of an operation. The caller has the lock.
func (f *Flow) info(op *operation) Info {
	i := Info{
		ID: op.id, WebSocketID: op.webSocketID, Owner: op.owner, Registered: op.registered(),
		Result: op.result.text, Terminal: op.result.terminal, Delivered: op.result.offered, Acked: op.result.acked,
		Expires: f.start.Add(time.Duration(op.expires)),
	}
	if op.at != nil {
		i.Session = op.at.session
	}
	return i
}
