package testkit

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
)

// failing is a test that may fail.
type failing struct {
	testing.TB
	failed bool
}

type stopped struct{}

func (f *failing) Helper() {}

func (f *failing) Fatalf(string, ...any) { f.failed = true; panic(stopped{}) }

// fails reports whether f ends its test.
func fails(t *testing.T, f func(testing.TB)) bool {
	t.Helper()
	tb := &failing{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != (stopped{}) {
				panic(r)
			}
		}()
		f(tb)
	}()
	return tb.failed
}

func TestReceive(t *testing.T) {
	c := make(chan int, 1)
	c <- 5
	if got := Receive(t, c); got != 5 {
		t.Errorf("received %d", got)
	}
	close(c)
	if got, ok := ReceiveOK(t, c); got != 0 || ok {
		t.Errorf("received %d, %v from a closed channel", got, ok)
	}
	synctest.Test(t, func(t *testing.T) {
		if !fails(t, func(tb testing.TB) { Receive(tb, make(chan int)) }) {
			t.Error("the wait did not fail")
		}
	})
}

func TestWait(t *testing.T) {
	var group sync.WaitGroup
	Wait(t, &group)
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		end := make(chan struct{})
		group.Go(func() { <-end })
		if !fails(t, func(tb testing.TB) { Wait(tb, &group) }) {
			t.Error("the wait did not fail")
		}
		close(end)
	})
}

func TestLoopback(t *testing.T) {
	seen := make(map[string]bool)
	for range 64 {
		text := Loopback()
		ip, err := netip.ParseAddr(text)
		if err != nil || !ip.IsLoopback() {
			t.Fatalf("%q is no loopback address: %v", text, err)
		}
		seen[text] = true
	}
	if len(seen) != 64 && !seen["127.0.0.1"] {
		t.Errorf("%d addresses of 64 are different", len(seen))
	}
	l, err := net.Listen("tcp", net.JoinHostPort(Loopback(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestHoldEndsWithTheTest(t *testing.T) {
	c := make(chan int, 1)
	c <- 5
	if got := Hold(t, c); got != 5 {
		t.Errorf("got %d", got)
	}
	var held sync.WaitGroup
	t.Run("fails before it lets go", func(t *testing.T) {
		held.Go(func() { Hold(t, make(chan int)) })
	})
	Wait(t, &held)
}
