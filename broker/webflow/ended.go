package webflow

import (
	"github.com/hoofbeat/hoofbeat/broker"
)

// loseEnded records the end of the sessions that ended with their node. It
// writes in the background, because there may be many, and a page that comes
// back meanwhile takes its operation over.
func (f *Flow) loseEnded() {
	if f.o.Ended == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	lost := make(map[*operation]*client)
	for op := range f.byWebSocketID.all() {
		if op.rec.registered() && op.at == nil && f.o.Ended(op.rec.Session) {
			lost[op] = &client{session: op.rec.Session, gone: true, reason: broker.ReasonConnectionLost, code: codeLost}
		}
	}
	if len(lost) > 0 {
		f.background.Go(func() { f.loseAll(lost) })
	}
}

// loseAll is lose for sessions of another node. What the Store does not take is
// repeated when it is due.
func (f *Flow) loseAll(lost map[*operation]*client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for op, c := range lost {
		if f.closed {
			return
		}
		if f.present(op) == nil {
			f.lose(f.patient(), op, c)
			f.waitForCallbacks()
		}
	}
}
