package broker

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// A client that is denied a destination is ended, as STOMP has it, and most
// client libraries connect again at once and ask for the same again, for ever.
// So the ERROR of a user who is denied again and again from one network is held
// back for a while. Others, and sessions of that user that are not denied
// anything, notice nothing of it.
const (
	freeDenials   = 5                      // within denialDecay, before the first wait
	firstHold     = 250 * time.Millisecond // it doubles with each denial up to longestHold
	longestHold   = 5 * time.Second
	denialDecay   = time.Minute // without a denial, after which they are forgotten
	maxDenialKeys = 4096
)

// denials counts the sessions that ended because they were denied something. The
// zero value is ready.
type denials struct {
	mu   sync.Mutex
	seen map[denialKey]*denied
}

type denialKey struct {
	network netip.Addr
	user    string
}

type denied struct {
	n    int
	last time.Time
}

// count notes a denial and returns how long its ERROR is held back.
func (d *denials) count(now time.Time, key denialKey) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.seen[key]
	if e == nil || now.Sub(e.last) > denialDecay {
		d.makeRoom(now)
		e = new(denied)
		d.seen[key] = e
	}
	e.n, e.last = e.n+1, now
	over := e.n - freeDenials
	if over <= 0 {
		return 0
	}
	return min(firstHold<<min(over-1, 10), longestHold)
}

// makeRoom keeps the number of keys bounded: it drops those that have decayed,
// and if that is not enough, any. The caller holds the lock.
func (d *denials) makeRoom(now time.Time) {
	if d.seen == nil {
		d.seen = make(map[denialKey]*denied)
	}
	if len(d.seen) < maxDenialKeys {
		return
	}
	for k, e := range d.seen {
		if now.Sub(e.last) > denialDecay {
			delete(d.seen, k)
		}
	}
	for k := range d.seen {
		if len(d.seen) < maxDenialKeys*3/4 {
			return
		}
		delete(d.seen, k)
	}
}

// slowDenial holds back the ERROR of a session that is denied something, if its
// user was denied something several times just before. Meanwhile nothing is read
// from the client, and what others send to it goes on.
func (s *session) slowDenial(bt *batch) {
	wait := s.b.denials.count(time.Now(), denialKey{httpsec.Network(s.peer.Addr()), s.userName()})
	if wait == 0 {
		return
	}
	s.user(bt, func(ctx context.Context) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	})
}
