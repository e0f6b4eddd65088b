package broker

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

const (
	freeForLogin   = 5                // failures of one login from one network before back-off begins
	freeForNetwork = 50               // failures of a network, whatever the login
	maxBackOff     = time.Minute      // it doubles from a second up to this
	forgetAfter    = 10 * time.Minute // without a failure
	maxThrottled   = 16384            // keys remembered
)

// A throttle slows down guessing of passcodes: failed attempts are counted by
// login and network, so that a stranger elsewhere cannot keep a user out, and by
// network, against trying one passcode with many logins. After some of them each
// further attempt must wait, twice as long every time. A success forgets.
//
// Tickets and tokens cannot be guessed. They are always looked at, so that one
// bad client behind an address does no harm to the others; only the answer to a
// wrong one becomes 429.
type throttle struct {
	mu   sync.Mutex
	keys map[throttleKey]*failures
}

// throttleKey is a network, or a login tried from it.
type throttleKey struct {
	network netip.Addr
	login   string
}

func (k throttleKey) free() int {
	if k.login == "" {
		return freeForNetwork
	}
	return freeForLogin
}

type failures struct {
	n     int
	last  time.Time
	until time.Time
}

// throttleKeys returns what an attempt counts for.
func throttleKeys(a netip.Addr, login string) []throttleKey {
	network := clientNetwork(a)
	if login == "" {
		return []throttleKey{{network, ""}}
	}
	return []throttleKey{{network, login}, {network, ""}}
}

// guess reports whether a refusal says something about the client. A hook that
// broke, was too slow or could not reach its identity provider refuses everybody.
func guess(err error) bool {
	var (
		r *auth.Refusal
		p *hookPanic
	)
	switch {
	case errors.As(err, &r):
		return r.StatusCode() < 500 && r.StatusCode() != http.StatusTooManyRequests
	case errors.As(err, &p):
		return false
	}
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// wait returns how long attempts under any of the keys are refused still.
func (t *throttle) wait(now time.Time, keys []throttleKey) (d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if f := t.keys[k]; f != nil {
			d = max(d, f.until.Sub(now))
		}
	}
	return max(d, 0)
}

// failed counts a failed attempt.
func (t *throttle) failed(now time.Time, keys []throttleKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = make(map[throttleKey]*failures)
	}
	for _, k := range keys {
		f := t.keys[k]
		if f == nil || now.Sub(f.last) > forgetAfter {
			t.makeRoom(now)
			f = new(failures)
			t.keys[k] = f
		}
		f.n++
		f.last = now
		if over := f.n - k.free(); over > 0 {
			f.until = now.Add(min(time.Second<<min(over-1, 10), maxBackOff))
		}
	}
}

// succeeded forgets the failures of a login. Those of its network stay: whoever
// tries many logins may have one of his own.
func (t *throttle) succeeded(keys []throttleKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if k.login != "" {
			delete(t.keys, k)
		}
	}
}

// makeRoom keeps the number of keys bounded, whoever tries from wherever.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.keys) < maxThrottled {
		return
	}
	for k, f := range t.keys {
		if now.Sub(f.last) > forgetAfter {
			delete(t.keys, k)
		}
	}
	for k := range t.keys { // still full: any, a quarter of them
		if len(t.keys) < maxThrottled*3/4 {
			return
		}
		delete(t.keys, k)
	}
}
