package schedule

import (
	"sync"
	"time"
)

// Alarm calls a function when the first item of a schedule is due. Its unit of
// time is a millisecond. Create one with [NewAlarm].
type Alarm struct {
	next func() (due int64, ok bool)
	now  func() int64
	ring func() bool

	mu      sync.Mutex
	timer   *time.Timer
	at      int64 // when the timer fires; 0 if it is not set
	ringing bool
	closed  bool
}

// NewAlarm returns an alarm. next is the Next of a schedule, now the present.
// ring is called when something is due, and not again until [Alarm.Done] is
// called; it starts the work and does not wait for it. If it reports false, the
// alarm is closed.
func NewAlarm(next func() (int64, bool), now func() int64, ring func() bool) *Alarm {
	return &Alarm{next: next, now: now, ring: ring}
}

// longest is a day: what is due later is looked at daily.
const longest = 24 * 60 * 60 * 1000

// Set sets the alarm for the first item. It is called after each call of Wait.
// Nothing rings early, since a due time is a whole millisecond that must have
// passed.
func (a *Alarm) Set() {
	a.mu.Lock()
	defer a.mu.Unlock()
	due, ok := a.next()
	if !ok || a.closed || a.ringing {
		return // Done sets it
	}
	if a.at != 0 && a.at <= due {
		return
	}
	a.at = due
	wait := time.Duration(min(max(due-a.now(), 0), longest)) * time.Millisecond
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.fire)
	} else {
		a.timer.Reset(wait)
	}
}

func (a *Alarm) fire() {
	a.mu.Lock()
	a.at = 0
	start := !a.ringing && !a.closed
	a.ringing = a.ringing || start
	a.mu.Unlock()
	if start && !a.ring() {
		a.Close()
	}
}

// Done says that nothing that is due was left. It sets the alarm again.
func (a *Alarm) Done() {
	a.mu.Lock()
	a.ringing = false
	a.mu.Unlock()
	a.Set()
}

// Close stops the alarm for good.
func (a *Alarm) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
	}
}
