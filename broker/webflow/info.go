package webflow

import (
	"iter"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Info is an operation at one moment.
type Info struct {
	ID          string // "" in the mode Open, while only the page has named it
	WebSocketID string
	Owner       Owner
	Registered  bool      // a connected session waits for it
	Session     string    // that session, or the last one that did; "" if none ever did
	Result      string    // the latest result, "" while there is none
	Terminal    bool      // no other will follow
	Delivered   bool      // the result was handed to a session
	Acked       bool      // and the page has acknowledged it
	Expires     time.Time // when it is forgotten
}

// Lookup returns the operation with that id, and whether there is one.
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

// Operations returns all operations in no order. Each is shown as it is when the
// loop comes to it; one that is announced meanwhile is left out.
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

// infos leaves out what has ended.
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

// info shows an operation. The caller has the lock.
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
