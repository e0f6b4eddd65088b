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
	freeFailures = 5                // before back-off begins
	maxBackOff   = time.Minute      // it doubles from a second up to this
	forgetAfter  = 10 * time.Minute // without a failure
	maxThrottled = 16384            // keys remembered; beyond it the oldest are forgotten first
)

// A throttle slows down guessing: failed attempts are counted by address and by
// login, and after a few of them each further one must wait, twice as long
// every time. A success forgets.
type throttle struct {
	mu   sync.Mutex
	keys map[string]*failures
}

type failures struct {
	n     int
	last  time.Time
	until time.Time
}

func addressKey(a netip.Addr) string { return "address " + clientNetwork(a).String() }

// loginKey counts a login by the address it is tried from, so that a stranger
// cannot keep a user out.
func loginKey(login string, a netip.Addr) string {
	if login == "" {
		return ""
	}
	return "login " + login + " " + clientNetwork(a).String()
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
func (t *throttle) wait(now time.Time, keys ...string) (d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if f := t.keys[k]; f != nil && k != "" {
			d = max(d, f.until.Sub(now))
		}
	}
	return max(d, 0)
}

// failed counts a failed attempt.
func (t *throttle) failed(now time.Time, keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = make(map[string]*failures)
	}
	for _, k := range keys {
		if k == "" {
			continue
		}
		f := t.keys[k]
		if f == nil || now.Sub(f.last) > forgetAfter {
			t.makeRoom(now)
			f = new(failures)
			t.keys[k] = f
		}
		f.n++
		f.last = now
		if over := f.n - freeFailures; over > 0 {
			f.until = now.Add(min(time.Second<<min(over-1, 10), maxBackOff))
		}
	}
}

// succeeded forgets.
func (t *throttle) succeeded(keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		delete(t.keys, k)
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
