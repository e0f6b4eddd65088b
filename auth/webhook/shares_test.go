package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// slow answers yes after a time.
func slow(each time.Duration) *http.Client {
	return testkit.SlowClient(each, func(body string) string {
		if strings.Contains(body, `"login":"nobody"`) {
			return `{"allow":false}`
		}
		return `{"allow":true,"user":"ann"}`
	})
}

func connectFrom(address, login string) *auth.Attempt {
	a := connect(login, "x")
	a.Remote = netip.AddrPortFrom(netip.MustParseAddr(address), 4711)
	return a
}

// Unauthenticated clients delay those of their own network, and a client of
// another network by at most one question.
func TestIdentityQuestionsAreSharedOutAmongNetworks(t *testing.T) {
	for _, test := range []struct {
		name     string
		networks int
		each     time.Duration
		patience time.Duration // that ann needs
	}{
		{"one network finds turns for others", 1, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"many go round", 20, 500 * time.Millisecond, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHook(t, Options{URL: inMemory, Client: slow(test.each)})
				ctx, cancel := context.WithCancel(t.Context())
				var flood sync.WaitGroup
				for n := range test.networks {
					for range 500 {
						flood.Go(func() { _, _ = w.Authenticate(ctx, connectFrom(fmt.Sprintf("192.0.2.%d", n), "nobody")) })
					}
				}
				synctest.Wait()
				start := time.Now()
				p, err := w.Authenticate(t.Context(), connectFrom("198.51.100.1", "ann"))
				if err != nil || p.Name != "ann" {
					t.Errorf("ann: %v, %v", p, err)
				}
				if d := time.Since(start); d > test.patience {
					t.Errorf("ann waited %v, longer than %v", d, test.patience)
				}
				cancel()
				flood.Wait()
				advance(2 * DefaultTimeout)
				synctest.Wait()
				if taken, waiting := w.identities.Usage(); taken != 0 || waiting != 0 {
					t.Errorf("afterwards %d turns are taken and %d wait", taken, waiting)
				}
			})
		})
	}
}

// The questions of one user, or of anonymous clients, do not delay other users.
func TestPermissionQuestionsAreSharedOutAmongUsers(t *testing.T) {
	for name, p := range map[string]*auth.Principal{"a user": {Name: "mallory"}, "nobody": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHook(t, Options{URL: inMemory, Client: slow(1500 * time.Millisecond)})
				var flood sync.WaitGroup
				for i := range 500 {
					flood.Go(func() { _ = w.Authorize(t.Context(), p, auth.Send, fmt.Sprintf("/topic/%d", i)) })
				}
				synctest.Wait()
				start := time.Now()
				err := w.Authorize(t.Context(), &auth.Principal{Name: "ann"}, auth.Send, "/topic/0")
				if d := time.Since(start); err != nil || d != 1500*time.Millisecond {
					t.Errorf("ann: %v after %v", err, d)
				}
				flood.Wait()
				if taken, waiting := w.permissions.Usage(); taken != 0 || waiting != 0 {
					t.Errorf("afterwards %d turns are taken and %d wait", taken, waiting)
				}
			})
		})
	}
}
