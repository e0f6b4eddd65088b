package admission

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

const (
	pace         = 50 * time.Millisecond // between two attempts of a network with too many failures
	maxThrottled = 16384                 // keys stored
	maxHeld      = 1024                  // attempts that wait for one key
)

// A throttle slows down passcode guessing. An attempt is counted before the
// passcode is compared, so that concurrent attempts cannot bypass the count.
//
// Failures of a login from one network slow down only that login
// (case-insensitive) from that network. After a number of failures, one attempt
// at a time is compared, after a wait that doubles with every failure. Attempts
// that arrive meanwhile are held as long as their deadline allows, and a random
// one of them is admitted next, so that a client with the correct passcode gets
// its turn while another client guesses.
//
// Failures of a network, for any login, never prevent a passcode from being
// compared: they only set a minimum interval between the attempts of that
// network, which are admitted in order of arrival.
//
// Tickets and tokens are long random values. They are always checked, and their
// failures are counted separately.
type throttle struct {
	o    throttleOptions
	seed maphash.Seed

	mu   sync.Mutex
	keys map[throttleKey]*failures
}

type throttleOptions struct {
	login, network int           // failures that cause no delay
	longest, decay time.Duration // see Config.FailureWait and Config.FailureDecay
}

// throttleKey identifies a count of failures.
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
	n      int       // failures, and for a login also the attempts in progress
	flying int       // attempts in progress
	last   time.Time // of the last failure
	// spelling is the hash of the exact login of the failures; mixed is true if
	// they had several spellings: see [failures.forgivenBy].
	spelling uint64
	mixed    bool
	next     time.Time // when the next attempt may begin
	held     []*held
	timer    *time.Timer
}

// held is a waiting attempt.
type held struct {
	done     chan struct{} // closed when the decision is made
	admitted bool
}

func (t *throttle) init(longest, decay time.Duration) {
	t.o.longest, t.o.decay = longest, decay
	t.seed, t.keys = maphash.MakeSeed(), make(map[throttleKey]*failures)
}

// setLimits sets the numbers of failures without delay.
func (t *throttle) setLimits(l Limits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.o.login, t.o.network = l.LoginFailures, l.AddressFailures
}

// try is one attempt with a passcode that was admitted for comparison.
type try struct {
	t        *throttle
	keys     [2]throttleKey // of the login and the network
	spelling uint64         // a hash of the exact login
	ended    bool
}

// begin admits an attempt with a passcode for login from addr, or returns the
// limit that forbids it. It blocks while the attempt is held, at most for hold
// and until ctx is done. The caller must end every attempt.
func (t *throttle) begin(ctx context.Context, addr netip.Addr, login string, hold time.Duration) (*try, *limit.Exceeded) {
	network := httpsec.Network(addr)
	y := &try{t: t, spelling: maphash.String(t.seed, login), keys: [2]throttleKey{
		{network, loginHash(t.seed, login), ofLogin}, {network, 0, ofNetwork},
	}}
	deadline := time.Now().Add(hold)
	if e := t.enter(ctx, y.keys[0], deadline); e != nil {
		return nil, e
	}
	if !network.IsValid() { // unknown network: any number of clients may share it
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

// enter admits one attempt for k, possibly after a wait.
func (t *throttle) enter(ctx context.Context, k throttleKey, deadline time.Time) *limit.Exceeded {
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

// await returns when h was admitted or evicted, or when its time is over.
func (t *throttle) await(ctx context.Context, k throttleKey, h *held, deadline time.Time) *limit.Exceeded {
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

// giveWay evicts a random one of the attempts that wait for f to make room for
// a new one, or returns false if the new one is chosen instead. The choice
// includes the new attempt and the waiting ones equally, so that a late attempt
// also has a chance.
func giveWay(f *failures) bool {
	i := rand.IntN(len(f.held) + 1)
	if i == len(f.held) {
		return false
	}
	close(f.held[i].done)
	f.held = slices.Delete(f.held, i, i+1)
	return true
}

// open reports whether an attempt may begin now.
func (t *throttle) open(k throttleKey, f *failures, now time.Time) bool {
	if k.kind == ofNetwork {
		return f.n <= t.o.network || !now.Before(f.next)
	}
	return f.n < t.o.login || f.flying == 0 && !now.Before(f.next)
}

// admit counts an attempt that begins.
func (t *throttle) admit(k throttleKey, f *failures, now time.Time) {
	f.flying++
	if k.kind == ofLogin {
		f.n++
	} else if f.n > t.o.network {
		f.next = now.Add(pace)
	}
}

// schedule sets the timer for the next waiting attempt.
func (t *throttle) schedule(k throttleKey, f *failures, now time.Time) {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if len(f.held) == 0 || k.kind == ofLogin && f.flying > 0 && f.n >= t.o.login {
		return // the end of the attempt in progress calls schedule again
	}
	f.timer = time.AfterFunc(f.next.Sub(now), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.advance(k, f, time.Now())
	})
}

// advance admits the waiting attempts that may begin now: for a network the
// first, for a login a random one.
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

func (t *throttle) exceeded(k throttleKey, wait time.Duration) *limit.Exceeded {
	e := &limit.Exceeded{Limit: limit.LoginFailures, Value: t.o.login, After: wait}
	if k.kind != ofLogin {
		e.Limit, e.Value = limit.AddressFailures, t.o.network
	}
	return e
}

// outcome is the result of an attempt.
type outcome uint8

const (
	nothing outcome = iota // the result says nothing about the client
	failed
	succeeded
)

// end counts the outcome of the attempt, once. After a failure it returns the
// limit that the next attempt of this login would exceed now, or nil.
func (y *try) end(how outcome) *limit.Exceeded {
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

// leave ends an attempt for k. A success clears the failures of the login but
// not those of its network: a client that tries many logins may own one of
// them.
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

// spell records the spelling of the login of a failure. The failure itself has
// been counted in n since its attempt began.
func (f *failures) spell(spelling uint64) {
	switch {
	case f.n-1-f.flying <= 0: // the first failure
		f.spelling, f.mixed = spelling, false
	case f.spelling != spelling:
		f.mixed = true
	}
}

// forgivenBy reports whether a success of a login clears the failures: only if
// they had the same spelling. If logins are case-sensitive, "Ann" and "ann" are
// two users, and a success of one must not clear failed guesses at the other's
// passcode.
func (f *failures) forgivenBy(spelling uint64) bool { return !f.mixed && f.spelling == spelling }

func (t *throttle) free(k throttleKey) int {
	if k.kind == ofLogin {
		return t.o.login
	}
	return t.o.network
}

// failed records a failure; underWay is the number of attempts in progress that
// are included in the count. A failure of a login was counted when its attempt
// began; failures of a network set an interval, not a wait.
func (t *throttle) failed(k throttleKey, f *failures, now time.Time, underWay int) {
	f.last = now
	if k.kind != ofLogin {
		f.n++
	}
	free := t.free(k)
	f.n = min(f.n, free+underWay+64) // so that a few halvings are enough to clear it
	if over := f.n - underWay - free; over > 0 && k.kind != ofNetwork {
		f.next = now.Add(min(time.Second<<min(over-1, 32), t.o.longest))
	}
}

// get returns the current count for k: it is halved for each decay period
// without a failure.
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

// wrongToken counts a wrong ticket or token. Above the limit it returns the
// answer to send instead of the refusal itself.
func (t *throttle) wrongToken(addr netip.Addr) *limit.Exceeded {
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

// makeRoom limits the number of keys, whatever the logins and addresses of the
// attempts are.
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
	for k, f := range t.keys { // still full: remove an arbitrary quarter
		if len(t.keys) <= maxThrottled*3/4 {
			return
		}
		if idle(f) {
			delete(t.keys, k)
		}
	}
}
