package users

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func connectFrom(address, login, passcode string) *auth.Attempt {
	a := connect(login, passcode)
	a.Remote = netip.AddrPortFrom(netip.MustParseAddr(address), 4711)
	return a
}

// slowStore takes 100 ms for each check and runs one at a time.
func slowStore(t *testing.T) (*Store, *atomic.Int64) {
	s := newStore(t, User{Name: "ann", Hash: hashOf(t, "right", MinCost)})
	s.turns = newTurns(1)
	real, checks := s.compare, new(atomic.Int64)
	s.compare = func(hash, passcode []byte) error {
		<-time.After(100 * time.Millisecond)
		checks.Add(1)
		return real(hash, passcode)
	}
	return s, checks
}

// Wrong passcodes from eight networks, as many as each may send, delay the
// right one from a ninth by one check each, and no more than the limit of one
// network wait.
func TestTurnsGoRoundAmongNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := slowStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for i := range 8 {
			for range 100 {
				flood.Go(func() { _, _ = s.Authenticate(ctx, connectFrom(fmt.Sprintf("192.0.2.%d", i), "nobody", "wrong")) })
			}
		}
		synctest.Wait()
		if _, n := s.turns.Usage(); n != 8*64 {
			t.Errorf("%d wait, want %d", n, 8*64)
		}
		for range 3 {
			start := time.Now()
			if p, err := s.Authenticate(ctx, connectFrom("198.51.100.1", "ann", "right")); err != nil || p.Name != "ann" {
				t.Errorf("ann: %v, %v", p, err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("ann waited %v", d)
			}
			s.table.Load().known = newKnown() // the next is her first again
		}
		cancel()
		flood.Wait()
		if taken, waiting := s.turns.Usage(); taken != 0 || waiting != 0 {
			t.Errorf("afterwards %d turns are taken and %d wait", taken, waiting)
		}
	})
}

// When too many logins wait in all, the longest lines shrink.
func TestLongestLineMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := slowStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for i := range 20 {
			for range 64 {
				flood.Go(func() { _, _ = s.Authenticate(ctx, connectFrom(fmt.Sprintf("192.0.2.%d", i), "nobody", "wrong")) })
			}
		}
		synctest.Wait()
		if _, n := s.turns.Usage(); n != maxWaiting {
			t.Errorf("%d wait, want %d", n, maxWaiting)
		}
		start := time.Now()
		if p, err := s.Authenticate(ctx, connectFrom("198.51.100.1", "ann", "right")); err != nil || p.Name != "ann" {
			t.Errorf("ann: %v, %v", p, err)
		}
		if d := time.Since(start); d > 22*100*time.Millisecond {
			t.Errorf("ann waited %v", d)
		}
		cancel()
		flood.Wait()
	})
}

// A passcode that was correct before needs no turn until the list is replaced;
// one that was wrong, or correct for another hash, does.
func TestKnownPasscodeWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, checks := slowStore(t)
		try := func(passcode string, wantChecks int64, right bool) {
			t.Helper()
			before := checks.Load()
			p, err := s.Authenticate(t.Context(), connectFrom("192.0.2.1", "ann", passcode))
			if (err == nil) != right || right && p.Name != "ann" {
				t.Errorf("%s: %v, %v", passcode, p, err)
			}
			if n := checks.Load() - before; n != wantChecks {
				t.Errorf("%s took %d checks, want %d", passcode, n, wantChecks)
			}
		}
		try("right", 1, true)
		try("right", 0, true)
		try("wrong", 1, false)
		try("", 1, false)
		try("right", 0, true)

		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 64 {
			flood.Go(func() { _, _ = s.Authenticate(ctx, connectFrom("192.0.2.1", "ann", "wrong")) })
		}
		synctest.Wait()
		start := time.Now()
		if _, err := s.Authenticate(t.Context(), connectFrom("192.0.2.1", "ann", "right")); err != nil || time.Since(start) != 0 {
			t.Errorf("in the flood: %v after %v", err, time.Since(start))
		}
		cancel()
		flood.Wait()

		if err := s.Replace([]User{{Name: "ann", Hash: hashOf(t, "other", MinCost)}}); err != nil {
			t.Fatal(err)
		}
		try("right", 1, false)
		try("other", 1, true)
		try("other", 0, true)
		if err := s.Replace(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Authenticate(t.Context(), connectFrom("192.0.2.1", "ann", "other")); err == nil {
			t.Error("a user who is gone is let in")
		}
	})
}
