// Package testkit contains helpers for Hoofbeat's own tests: waiting with a
// limit, and addresses that no other test uses.
package testkit

import (
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for something that an idle machine does at
// once. It is far below the time limit of go test, so that a failure names the
// waiting line instead of ending the whole package.
const Patience = time.Minute

// Receive returns the next value of c, or the zero value if c is closed. It
// fails the test if nothing arrives within [Patience].
//
// Call it only from the test's goroutine. A test in a synctest bubble does not
// need it: there an endless wait is a deadlock, which is reported at once.
func Receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	v, _ := ReceiveOK(t, c)
	return v
}

// ReceiveOK is like [Receive] and also reports whether c is still open.
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

// Wait waits for a group of goroutines. It fails the test if one of them is
// still running after [Patience].
func Wait(t testing.TB, group *sync.WaitGroup) {
	t.Helper()
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	Receive(t, done)
}

// Hold waits until c delivers a value or is closed, or until the test is over.
// Use it in hooks and handlers that a test holds back: if the test fails before
// it releases them, its cleanup must not wait for them. Any goroutine may call
// it.
func Hold[T any](t testing.TB, c <-chan T) T {
	select {
	case v := <-c:
		return v
	case <-t.Context().Done():
		var none T
		return none
	}
}
