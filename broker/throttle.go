package broker

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

const (
	pace         = 50 * time.Millisecond // between two tries of a network with too many failures
	maxThrottled = 16384                 // keys remembered
	maxHeld      = 1024                  // tries that wait for one key
)

// A throttle slows down guessing of passcodes. A try is counted before the
// passcode is compared, so that many at once are no way around the count.
//
// Failures of a login from one network slow down that login from that network,
// whatever its case, and nothing else: after some of them one try at a time is compared, after a
// wait that doubles with every failure. Tries that come meanwhile are held as
// long as their deadline allows, and one of those is drawn, so that whoever has
// the right passcode gets his turn beside somebody who guesses.
//
// Failures of a network, whatever the logins, never keep a passcode from being
// compared: they only set a pace at which the tries of that network follow each
// other, first come, first served.
//
// Tickets and tokens are long random values. They are always looked at, and
// their failures count for themselves.
type throttle struct {
	o    throttleOptions
	seed maphash.Seed

	mu   sync.Mutex
	keys map[throttleKey]*failures
}

type throttleOptions struct {
	login, network int           // failures that are free
	longest, decay time.Duration // FailureWait and FailureDecay
}

// throttleKey says what failures are counted for.
type throttleKey struct {
	network netip.Addr
	login   uint64 // see loginHash
	kind    uint8
}

const (
	ofLogin   uint8 = iota // passcodes of one login from a network
	ofNetwork              // passcodes of all logins from a network
	ofTokens               // tickets and tokens from a network
)

type failures struct {
	n      int       // failures, and for a login the tries under way
	flying int       // tries under way
	last   time.Time // of the last failure
	// spelling is the hash of the login as the failures had it, and mixed says that
	// they had several: see [failures.forgivenBy].
	spelling uint64
	mixed    bool
	next     time.Time // when one more try may begin
	held     []*held
	timer    *time.Timer
}

// held is a try that waits.
type held struct {
	done     chan struct{} // closed when it was decided
	admitted bool
}

func (t *throttle) init() {
	t.seed, t.keys = maphash.MakeSeed(), make(map[throttleKey]*failures)
}

// limit sets what is free and how long a login waits.
func (t *throttle) limit(o throttleOptions) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.o = o
}

// try is one attempt with a passcode that was let through to be compared.
type try struct {
	t        *throttle
	keys     [2]throttleKey // of the login and the network
	spelling uint64         // a hash of the login as it is
	ended    bool
}

// begin reserves a try of a passcode for login from addr, or returns the limit
// that forbids it. It blocks while the try is held, at most for hold and until
// ctx is done. Every try must be ended.
func (t *throttle) begin(ctx context.Context, addr netip.Addr, login string, hold time.Duration) (*try, *exceeded) {
	network := httpsec.Network(addr)
	y := &try{t: t, spelling: maphash.String(t.seed, login), keys: [2]throttleKey{
		{network, loginHash(t.seed, login), ofLogin}, {network, 0, ofNetwork},
	}}
	deadline := time.Now().Add(hold)
	if e := t.enter(ctx, y.keys[0], deadline); e != nil {
		return nil, e
	}
	if !network.IsValid() { // nobody knows who shares it
		return y, nil
	}
	if e := t.enter(ctx, y.keys[1], deadline); e != nil {
		t.mu.Lock()
		t.leave(y.keys[0], time.Now(), nothing, y.spelling)
		t.mu.Unlock()
		return nil, e
	}
	return y, nil
}

// enter lets one try pass k, perhaps after a while.
func (t *throttle) enter(ctx context.Context, k throttleKey, deadline time.Time) *exceeded {
	t.mu.Lock()
	now := time.Now()
	f := t.get(k, now)
	if len(f.held) == 0 && t.open(k, f, now) {
		t.admit(k, f, now)
		t.mu.Unlock()
		return nil
	}
	if f.next.After(deadline) || len(f.held) >= maxHeld && !giveWay(f) {
		defer t.mu.Unlock()
		return t.exceeded(k, f.next.Sub(now))
	}
	h := &held{done: make(chan struct{})}
	f.held = append(f.held, h)
	t.schedule(k, f, now)
	t.mu.Unlock()
	return t.await(ctx, k, h, deadline)
}

// await returns when h was let through, has to give way, or its time is over.
func (t *throttle) await(ctx context.Context, k throttleKey, h *held, deadline time.Time) *exceeded {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-h.done:
	case <-ctx.Done():
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.admitted {
		return nil
	}
	now := time.Now()
	f := t.get(k, now)
	if i := slices.Index(f.held, h); i >= 0 {
		f.held = slices.Delete(f.held, i, i+1)
	}
	return t.exceeded(k, f.next.Sub(now))
}

// giveWay turns away one of the tries that wait for f, so that another may, or
// reports that it is this other one: whoever comes last must not be the one who
// never gets in.
func giveWay(f *failures) bool {
	i := rand.IntN(len(f.held) + 1)
	if i == len(f.held) {
		return false
	}
	close(f.held[i].done)
	f.held = slices.Delete(f.held, i, i+1)
	return true
}

// open reports whether a try may begin now.
func (t *throttle) open(k throttleKey, f *failures, now time.Time) bool {
	if k.kind == ofNetwork {
		return f.n <= t.o.network || !now.Before(f.next)
	}
	return f.n < t.o.login || f.flying == 0 && !now.Before(f.next)
}

// admit counts a try that begins.
func (t *throttle) admit(k throttleKey, f *failures, now time.Time) {
	f.flying++
	if k.kind == ofLogin {
		f.n++
	} else if f.n > t.o.network {
		f.next = now.Add(pace)
	}
}

// schedule has the next of those who wait let through in time.
func (t *throttle) schedule(k throttleKey, f *failures, now time.Time) {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if len(f.held) == 0 || k.kind == ofLogin && f.flying > 0 && f.n >= t.o.login {
		return // the end of the try under way calls again
	}
	f.timer = time.AfterFunc(f.next.Sub(now), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.advance(k, f, time.Now())
	})
}

// advance lets through whoever may go: of a network the first, of a login any.
func (t *throttle) advance(k throttleKey, f *failures, now time.Time) {
	for len(f.held) > 0 && t.open(k, f, now) {
		i := 0
		if k.kind == ofLogin {
			i = rand.IntN(len(f.held))
		}
		h := f.held[i]
		f.held = slices.Delete(f.held, i, i+1)
		h.admitted = true
		close(h.done)
		t.admit(k, f, now)
	}
	t.schedule(k, f, now)
}

func (t *throttle) exceeded(k throttleKey, wait time.Duration) *exceeded {
	e := &exceeded{limit: limitLoginFailures, value: t.o.login, after: wait}
	if k.kind != ofLogin {
		e.limit, e.value = limitAddressFailures, t.o.network
	}
	return e
}

// outcome is how a try ended.
type outcome uint8

const (
	nothing outcome = iota // said about the client
	failed
	succeeded
)

// end counts how the try ended, once. For a failure it returns what the next try
// of this login would meet at this moment, nil if nothing.
func (y *try) end(how outcome) *exceeded {
	if y == nil || y.ended {
		return nil
	}
	y.ended = true
	now := time.Now()
	y.t.mu.Lock()
	defer y.t.mu.Unlock()
	if y.keys[1].network.IsValid() {
		y.t.leave(y.keys[1], now, how, 0)
	}
	f := y.t.leave(y.keys[0], now, how, y.spelling)
	if wait := f.next.Sub(now); how == failed && wait > 0 {
		return y.t.exceeded(y.keys[0], wait)
	}
	return nil
}

// leave ends a try at k. A success forgets the failures of the login; those of
// its network stay: whoever tries many logins may have one of his own.
func (t *throttle) leave(k throttleKey, now time.Time, how outcome, spelling uint64) *failures {
	f := t.get(k, now)
	f.flying = max(f.flying-1, 0)
	switch {
	case how == failed && k.kind == ofLogin:
		f.spell(spelling)
		t.failed(k, f, now, f.flying)
	case how == failed:
		t.failed(k, f, now, 0)
	case k.kind == ofLogin && how == succeeded && f.forgivenBy(spelling):
		f.n, f.next = f.flying, time.Time{}
	case k.kind == ofLogin:
		f.n = max(f.n-1, 0)
	}
	t.advance(k, f, now)
	if f.n == 0 && f.flying == 0 && len(f.held) == 0 {
		delete(t.keys, k)
	}
	return f
}

// spell notes how the login of a failure was spelled. The failure itself is
// counted in n since its try began.
func (f *failures) spell(spelling uint64) {
	switch {
	case f.n-1-f.flying <= 0: // the first
		f.spelling, f.mixed = spelling, false
	case f.spelling != spelling:
		f.mixed = true
	}
}

// forgivenBy reports whether a success of a login forgets the failures: only if
// they were of the same spelling. Where the case of a login matters, "Ann" and
// "ann" are two people, and the one must not forgive himself the guesses at the
// other's passcode.
func (f *failures) forgivenBy(spelling uint64) bool { return !f.mixed && f.spelling == spelling }

func (t *throttle) free(k throttleKey) int {
	if k.kind == ofLogin {
		return t.o.login
	}
	return t.o.network
}

// failed notes a failure, beside which so many tries are counted that are under
// way. That of a login was counted when it began; and the failures of a network
// set a pace, no time to wait.
func (t *throttle) failed(k throttleKey, f *failures, now time.Time, underWay int) {
	f.last = now
	if k.kind != ofLogin {
		f.n++
	}
	free := t.free(k)
	f.n = min(f.n, free+underWay+64) // so that it halves away in a few steps
	if over := f.n - underWay - free; over > 0 && k.kind != ofNetwork {
		f.next = now.Add(min(time.Second<<min(over-1, 32), t.o.longest))
	}
}

// get returns the count for k, as it is after so much time: it halves whenever
// there was no failure for a while.
func (t *throttle) get(k throttleKey, now time.Time) *failures {
	f := t.keys[k]
	if f == nil {
		t.makeRoom(now)
		f = &failures{last: now}
		t.keys[k] = f
	}
	if quiet := int(now.Sub(f.last) / t.o.decay); quiet > 0 && f.flying == 0 {
		f.n >>= min(quiet, 62)
		f.last = f.last.Add(time.Duration(quiet) * t.o.decay)
	}
	return f
}

// wrongToken counts a wrong ticket or token. Beyond the failures that are free
// it returns what the client is answered with instead of the refusal itself.
func (t *throttle) wrongToken(addr netip.Addr) *exceeded {
	if !addr.IsValid() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	k := throttleKey{httpsec.Network(addr), 0, ofTokens}
	f := t.get(k, now)
	t.failed(k, f, now, 0)
	if f.n <= t.o.network {
		return nil
	}
	return t.exceeded(k, f.next.Sub(now))
}

// makeRoom keeps the number of keys bounded, whoever tries from wherever.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.keys) < maxThrottled {
		return
	}
	idle := func(f *failures) bool { return f.flying == 0 && len(f.held) == 0 }
	for k, f := range t.keys {
		if idle(f) && now.Sub(f.last)/5 > t.o.decay {
			delete(t.keys, k)
		}
	}
	for k, f := range t.keys { // still full: any, a quarter of them
		if len(t.keys) <= maxThrottled*3/4 {
			return
		}
		if idle(f) {
			delete(t.keys, k)
		}
	}
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
