package loglimit

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
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

// Two users behind one address have separate limits, and one address with many
// names cannot fill the log.
func TestUsersOfOneNetwork(t *testing.T) {
	var l Limiter
	now := time.Unix(1000, 0)
	ann, bob := Key{Kind: "denied", From: "ann", Network: "192.0.2.1"}, Key{Kind: "denied", From: "bob", Network: "192.0.2.1"}
	for _, key := range []Key{ann, bob} {
		if n, ok := l.Allow(now, key); !ok || n != 0 {
			t.Fatalf("%v: %d, %v", key, n, ok)
		}
	}
	allowed := 2
	const names = 5000
	for i := range names {
		if _, ok := l.Allow(now, Key{Kind: "denied", From: fmt.Sprint(i), Network: "192.0.2.1"}); ok {
			allowed++
		}
	}
	if allowed != PerNetwork {
		t.Errorf("%d lines of one network in a second, want %d", allowed, PerNetwork)
	}
	if len(l.keys) > PerNetwork {
		t.Errorf("one network takes %d keys", len(l.keys))
	}
	if _, ok := l.Allow(now, Key{Kind: "denied", From: "ann", Network: "192.0.2.2"}); !ok {
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
		l.Allow(now, Key{Kind: "denied", From: "ann", Network: fmt.Sprint(i)})
	}
	if len(l.networks) > maxKeys+1 || len(l.keys) > maxKeys+1 {
		t.Errorf("%d networks and %d keys are remembered", len(l.networks), len(l.keys))
	}
	later := now.Add(time.Second)
	if _, ok := l.Allow(later, Key{Kind: "denied", From: "ann", Network: "new"}); !ok {
		t.Error("nothing is logged any more")
	}
	if len(l.networks) > 2 {
		t.Errorf("%d networks are remembered after a second", len(l.networks))
	}
}

// A client that invents keys with Anywhere uses up the lines of its own network
// only, and such a key has one line a second in all networks together.
func TestKeysThatAreTheSameAnywhere(t *testing.T) {
	var l Limiter
	now := time.Unix(1000, 0)
	count := func(tries int, key func(i int) Key) (n int) {
		for i := range tries {
			if _, ok := l.Allow(now, key(i)); ok {
				n++
			}
		}
		return n
	}
	invented := func(i int) Key { return Key{Kind: "origin", From: fmt.Sprint(i), Network: "192.0.2.1", Anywhere: true} }
	if n := count(1000, invented); n != PerNetwork {
		t.Errorf("%d lines of one network, want %d", n, PerNetwork)
	}
	page := func(i int) Key {
		return Key{Kind: "origin", From: "page", Network: fmt.Sprintf("198.51.100.%d", i), Anywhere: true}
	}
	if n := count(200, page); n != 1 {
		t.Errorf("%d lines about one page that 200 networks have open, want 1", n)
	}
}

func TestLogSaysHowManyWereSuppressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		var out bytes.Buffer
		to := slog.New(slog.NewTextHandler(&out, nil))
		for range 1000 {
			l.Log(t.Context(), to, slog.LevelWarn, Key{Kind: "wrong", Network: "192.0.2.1"}, "a", 1)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "level=WARN msg=wrong a=1\n") {
			t.Errorf("%d lines: %s", n, &out)
		}
		time.Sleep(Every)
		l.Log(t.Context(), to, slog.LevelWarn, Key{Kind: "wrong", Network: "192.0.2.1"}, "a", 1)
		if !strings.HasSuffix(out.String(), "a=1 suppressed=999\n") {
			t.Errorf("%s", &out)
		}
	})
}

// What a client has chosen is remembered up to a length, and without what it was
// cut from.
func TestLimiterHoldsWhatIsDocumented(t *testing.T) {
	var l Limiter
	before := testkit.Heap()
	now := time.Now()
	for i := range maxKeys {
		network := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		from := fmt.Sprintf("%08d", i) + strings.Repeat("x", 20_000)
		if i%2 == 0 {
			from = from[:40]
		}
		l.Allow(now, Key{Kind: "k", From: from, Network: Network(network)})
	}
	if held := testkit.Heap() - before; held > 1<<20 {
		t.Errorf("%d bytes are held, at most 1 MiB may be", held)
	}
	if n := len(l.keys); n != maxKeys {
		t.Errorf("%d keys are remembered, want all %d", n, maxKeys)
	}
	runtime.KeepAlive(&l)
}
