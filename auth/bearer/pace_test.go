package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// A network that sends many invalid tokens does not make the broker ask as fast
// as it can write.
func TestWrongTokensOfANetworkSetAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		slow := slowServer(time.Millisecond)
		counting := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			return slow.Transport.RoundTrip(r)
		})}
		v := newVerifier(t, Options{
			Introspection: []Introspection{{URL: "https://login.example.com/introspect", ClientID: "b", ClientSecret: "s"}},
			Client:        counting, WrongTokens: 5,
		})
		wrong := func(i int) error {
			_, err := v.Authenticate(t.Context(), from("192.0.2.1", fmt.Sprintf("wrong-%d", i)))
			return err
		}
		start := time.Now()
		for i := range 6 {
			if err := wrong(i); !errors.Is(err, ErrInvalid) {
				t.Fatalf("%d: %v", i, err)
			}
		}
		if d := time.Since(start); d > 10*time.Millisecond {
			t.Errorf("the free ones took %v", d)
		}

		// A crowd at once: some wait, the others are rejected.
		asked.Store(0)
		start = time.Now()
		var crowd sync.WaitGroup
		var invalid, tooMany atomic.Int64
		for i := range 200 {
			crowd.Go(func() {
				err := wrong(1000 + i)
				var refusal *auth.Refusal
				switch {
				case errors.Is(err, ErrInvalid):
					invalid.Add(1)
				case errors.As(err, &refusal) && refusal.Status == http.StatusTooManyRequests && refusal.Key == "limits.address_failures" && refusal.RetryAfter > 0 && errors.Is(err, ErrUnavailable):
					tooMany.Add(1)
				default:
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		another := time.Now()
		if p, err := v.Authenticate(t.Context(), from("198.51.100.1", "ann")); err != nil || p.Name != "ann" || time.Since(another) > 5*time.Millisecond {
			t.Errorf("ann of another network: %v, %v after %v", p, err, time.Since(another))
		}
		crowd.Wait()
		if n := asked.Load() - 1; n != 41 || invalid.Load() != n || tooMany.Load() != 200-n {
			t.Errorf("%d were asked about, %d were invalid, %d were too many", n, invalid.Load(), tooMany.Load())
		}
		if d := time.Since(start); d < 2*time.Second || d > 2*time.Second+10*time.Millisecond {
			t.Errorf("they took %v", d)
		}

		// A valid token of the same network waits its turn; once cached it does not.
		for i, most := range []time.Duration{60 * time.Millisecond, 0} {
			start := time.Now()
			if p, err := v.Authenticate(t.Context(), from("192.0.2.1", "ann")); err != nil || p.Name != "ann" || time.Since(start) > most {
				t.Errorf("ann, %d: %v, %v after %v", i, p, err, time.Since(start))
			}
		}

		// It is forgotten.
		time.Sleep(8 * paceDecay)
		start = time.Now()
		for i := range 5 {
			if err := wrong(i); !errors.Is(err, ErrInvalid) {
				t.Errorf("later: %v", err)
			}
		}
		if d := time.Since(start); d > 10*time.Millisecond {
			t.Errorf("later they took %v", d)
		}
	})
}

// The networks that are counted are bounded, and no limit means none.
func TestPaceIsBounded(t *testing.T) {
	p := newPace(1)
	for i := range paceNetworks + 100 {
		p.wrong(network(i))
	}
	if n := len(p.networks); n > paceNetworks {
		t.Errorf("%d networks", n)
	}
	off := newPace(-1)
	for range 1000 {
		off.wrong(network(1))
	}
	if off.over(network(1)) || len(off.networks) != 0 {
		t.Error("it counts without a limit")
	}
	if newPace(0).free != DefaultWrongTokens {
		t.Error("there is no default")
	}
}

func network(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}
