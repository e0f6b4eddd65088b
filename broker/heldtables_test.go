package broker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// address is one of 2³² networks.
func address(i int) netip.Addr {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(i)+1<<24)
	return netip.AddrFrom4(ip)
}

// What the broker remembers of clients that it has turned away, or that have no
// session, is bounded however many they are, and so is its memory.
func TestTablesHoldWhatIsDocumented(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, tc := range []struct {
		name string
		most int64
		fill func() // far more than fit
	}{
		{"denials", maxDenialKeys * 512, func() {
			for i := range 3 * maxDenialKeys {
				b.denials.count(time.Now(), denialKey{address(i), fmt.Sprintf("%0255d", i)})
			}
		}},
		{"warnings", 1 << 20, func() {
			for i := range 5000 {
				b.warn("origin not allowed", source{fmt.Sprint(strings.Repeat("o", 50_000), i), address(i).String(), i%2 == 0})
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
	runtime.KeepAlive(b)
}
