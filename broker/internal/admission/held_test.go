package admission

import (
	"errors"
	"math"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// What the gate remembers of clients that it has rejected, or that have no
// session, is bounded however many they are, and so is its memory.
func TestTablesHoldWhatIsDocumented(t *testing.T) {
	g := newGate(auth.Anonymous, Limits{Sessions: math.MaxInt, SessionsPerAddress: math.MaxInt, SessionsPerUser: math.MaxInt, LoginFailures: 5, AddressFailures: 50})
	for _, tc := range []struct {
		name string
		most int64
		fill func() // far more than fit
	}{
		{"failures of logins and addresses", maxThrottled * 384, func() {
			for i := range 2 * maxThrottled {
				end, reached := g.TryPasscode(t.Context(), netip.AddrPortFrom(testkit.Network(i), 1), strings.Repeat("l", 5000))
				if reached != nil {
					t.Fatal(reached)
				}
				end(errors.New("wrong"))
				g.throttle.wrongToken(testkit.Network(i))
			}
		}},
		{"addresses of sessions", 100_000 * 32, func() {
			for i := range 100_000 {
				if _, reached := g.TakeSeat(testkit.Network(i), "", "s"); reached != nil {
					t.Fatal(reached)
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testkit.WantHeap(t, tc.most, tc.fill)
		})
	}
	runtime.KeepAlive(g)
}
