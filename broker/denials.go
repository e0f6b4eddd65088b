package broker

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// If a client is denied a destination, its session ends, as STOMP requires.
// Most client libraries reconnect at once and request the same destination
// again, without end. The broker therefore delays the ERROR of a user who is
// repeatedly denied from one network. This does not affect other users, or
// sessions of that user without denials.
const (
	freeDenials   = 5                      // within denialDecay, before the first delay
	firstHold     = 250 * time.Millisecond // doubles with each denial up to longestHold
	longestHold   = 5 * time.Second
	denialDecay   = time.Minute // denials are forgotten after this time without another
	maxDenialKeys = 4096
)

// denials counts the sessions that ended because of a denial. The zero value is
// ready to use.
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

// count records a denial and returns the delay of its ERROR.
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

// makeRoom bounds the number of keys: it drops decayed keys and, if that is not
// enough, arbitrary ones. The caller holds the lock.
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

// slowDenial delays the ERROR of a denied session if its user was denied
// several times just before. During the delay the broker reads nothing from the
// client, but continues to deliver messages to it.
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
