package loglimit

import (
	"fmt"
	"testing"
	"time"
)

func TestOneLineASecondForAKey(t *testing.T) {
	var l Limiter
	now := time.Unix(1000, 0)
	a, b := Key{"denied", "192.0.2.1"}, Key{"denied", "192.0.2.2"}
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
		if _, ok := l.Allow(now, Key{"origin", fmt.Sprint(i)}); ok {
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
		n, ok := l.Allow(later, Key{"origin", fmt.Sprint(i)})
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
