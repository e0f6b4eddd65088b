package loglimit

import (
	"fmt"
	"testing"
	"time"
)

func TestOneLineASecondForAKey(t *testing.T) {
	var l Limiter
	now := time.Unix(1000, 0)
	a, b := Key{Kind: "denied", From: "192.0.2.1"}, Key{Kind: "denied", From: "192.0.2.2"}
	if n, ok := l.Allow(now, a); !ok || n != 0 {
		t.Fatalf("first line: %d, %v", n, ok)
	}
	for range 7 {
		if _, ok := l.Allow(now.Add(999*time.Millisecond), a); ok {
			t.Fatal("a second line within a second")
		}
	}
	if _, ok := l.Allow(now, b); !ok {
		t.Fatal("another key is limited by the first")
	}
	if n, ok := l.Allow(now.Add(time.Second), a); !ok || n != 7 {
		t.Fatalf("after a second: suppressed %d, %v, want 7, true", n, ok)
	}
	if n, ok := l.Allow(now.Add(2*time.Second), a); !ok || n != 0 {
		t.Fatalf("the count starts again: %d, %v", n, ok)
	}
}

func TestLinesOfAllKeysAreBounded(t *testing.T) {
	var l Limiter
	now := time.Unix(1000, 0)
	allowed := 0
	for i := range 100_000 {
		if _, ok := l.Allow(now, Key{Kind: "origin", From: fmt.Sprint(i)}); ok {
			allowed++
		}
	}
	if allowed != PerSecond {
		t.Errorf("%d lines in one second, want %d", allowed, PerSecond)
	}
	if len(l.keys) > maxKeys+1 {
		t.Errorf("%d keys are remembered", len(l.keys))
	}
	// Nothing is lost: what is suppressed is counted by the key or its kind.
	later, total := now.Add(time.Minute), 0
	for i := range 200_000 {
		later = later.Add(time.Second / PerSecond)
		n, ok := l.Allow(later, Key{Kind: "origin", From: fmt.Sprint(i)})
		if !ok {
			total--
		}
		total += n
		if i > maxKeys*2 {
			break
		}
	}
	n, _ := l.Allow(later.Add(time.Hour), Key{Kind: "origin"})
	if total += n; total > 100_000-allowed || total < (100_000-allowed)-maxKeys {
		t.Errorf("suppressed lines reported: %d of %d", total, 100_000-allowed)
	}
}

// Two users behind one address are told apart, and one address with many names
// leaves the log to others.
func TestUsersOfOneNetwork(t *testing.T) {
	var l Limiter
	now := time.Unix(1000, 0)
	ann, bob := Key{"denied", "ann", "192.0.2.1"}, Key{"denied", "bob", "192.0.2.1"}
	for _, key := range []Key{ann, bob} {
		if n, ok := l.Allow(now, key); !ok || n != 0 {
			t.Fatalf("%v: %d, %v", key, n, ok)
		}
	}
	allowed := 2
	const names = 5000
	for i := range names {
		if _, ok := l.Allow(now, Key{"denied", fmt.Sprint(i), "192.0.2.1"}); ok {
			allowed++
		}
	}
	if allowed != PerNetwork {
		t.Errorf("%d lines of one network in a second, want %d", allowed, PerNetwork)
	}
	if len(l.keys) > PerNetwork {
		t.Errorf("one network takes %d keys", len(l.keys))
	}
	if _, ok := l.Allow(now, Key{"denied", "ann", "192.0.2.2"}); !ok {
		t.Error("another network is limited by the first")
	}
	if n, ok := l.Allow(now.Add(time.Second), bob); !ok || n != names+2-PerNetwork {
		t.Errorf("after a second: suppressed %d, %v, want %d, true", n, ok, names+2-PerNetwork)
	}
}

func TestNetworksAreBounded(t *testing.T) {
	var l Limiter
	now := time.Unix(1000, 0)
	for i := range 10 * maxKeys {
		l.Allow(now, Key{"denied", "ann", fmt.Sprint(i)})
	}
	if len(l.networks) > maxKeys+1 || len(l.keys) > maxKeys+1 {
		t.Errorf("%d networks and %d keys are remembered", len(l.networks), len(l.keys))
	}
	later := now.Add(time.Second)
	if _, ok := l.Allow(later, Key{"denied", "ann", "new"}); !ok {
		t.Error("nothing is logged any more")
	}
	if len(l.networks) > 2 {
		t.Errorf("%d networks are remembered after a second", len(l.networks))
	}
}
