// Package testkit is what the tests of Hoofbeat itself share: waiting that ends, and
// addresses that no other test takes.
package testkit

import (
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what happens at once on an idle machine.
// It is far below the time limit of go test, so that a failure names the line that
// waited instead of ending the whole package.
const Patience = time.Minute

// Receive returns what comes next from c, or the zero value when c is closed. It
// fails the test when nothing comes within [Patience].
//
// Only the goroutine of the test may call it. A test in a synctest bubble does not
// need it: there a wait without an end is a deadlock, which is reported at once.
func Receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	v, _ := ReceiveOK(t, c)
	return v
}

// ReceiveOK is [Receive] that reports whether c is still open, too.
func ReceiveOK[T any](t testing.TB, c <-chan T) (T, bool) {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case v, ok := <-c:
		return v, ok
	case <-timer.C:
		t.Fatalf("nothing came within %v", Patience)
		panic("unreachable")
	}
}

// Wait waits for a group of goroutines. It fails the test when one of them is still
// running after [Patience].
func Wait(t testing.TB, group *sync.WaitGroup) {
	t.Helper()
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	Receive(t, done)
}

// Hold waits until c brings something or is closed, or until the test is over. It is
// for hooks and handlers that a test holds back: one that fails before it lets them
// go must not wait for them in its cleanup. Any goroutine may call it.
func Hold[T any](t testing.TB, c <-chan T) T {
	select {
	case v := <-c:
		return v
	case <-t.Context().Done():
		var none T
		return none
	}
}
