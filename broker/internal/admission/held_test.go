package admission

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// address is one of 2³² networks.
func address(i int) netip.Addr {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(i)+1<<24)
	return netip.AddrFrom4(ip)
}

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
				end, reached := g.TryPasscode(t.Context(), netip.AddrPortFrom(address(i), 1), strings.Repeat("l", 5000))
				if reached != nil {
					t.Fatal(reached)
				}
				end(errors.New("wrong"))
				g.throttle.wrongToken(address(i))
			}
		}},
		{"addresses of sessions", 100_000 * 32, func() {
			for i := range 100_000 {
				if _, reached := g.TakeSeat(address(i), "", "s"); reached != nil {
					t.Fatal(reached)
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := testkit.Heap()
			tc.fill()
			held := testkit.Heap() - before
			t.Logf("%d bytes are held, at most %d may be", held, tc.most)
			if held > tc.most {
				t.Errorf("%d bytes are held, at most %d may be", held, tc.most)
			}
		})
	}
	runtime.KeepAlive(g)
}
