package dedup

// Attempt is the attempt to have one message accepted. Its methods are safe for
// concurrent use.
type Attempt struct {
	w     *Window
	key   Key
	owner uint64

	// Guarded by the lock of the window.
	ended bool
	err   error
	then  []func(error)
}

// accepted is the attempt of every message that was accepted before.
var accepted = &Attempt{ended: true}

// Accepted reports whether the message was accepted before the call that
// returned this attempt.
func (a *Attempt) Accepted() bool { return a == accepted }

// End says whether the message was accepted: err is nil if it was. Otherwise
// its id is forgotten, and the next attempt is a first one. Only the first call
// has an effect. It calls the functions given to [Attempt.Then]; the caller
// must hold no lock that they need.
func (a *Attempt) End(err error) {
	w := a.w
	w.mu.Lock()
	if a.ended {
		w.mu.Unlock()
		return
	}
	a.ended, a.err = true, err
	then := a.then
	a.then = nil
	w.settle(a)
	w.mu.Unlock()
	for _, f := range then {
		f(err)
	}
}

// Then calls f with the outcome of the attempt: nil if the message was
// accepted. It calls f at once if the attempt has ended, otherwise f runs in
// the goroutine that ends it.
func (a *Attempt) Then(f func(error)) {
	if a == accepted {
		f(nil)
		return
	}
	w := a.w
	w.mu.Lock()
	if !a.ended {
		a.then = append(a.then, f)
		w.mu.Unlock()
		return
	}
	err := a.err
	w.mu.Unlock()
	f(err)
}
