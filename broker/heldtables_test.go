package broker

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

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
				b.denials.count(time.Now(), denialKey{testkit.Network(i), fmt.Sprintf("%0255d", i)})
			}
		}},
		{"warnings", 1 << 20, func() {
			for i := range 5000 {
				b.warn("origin not allowed", source{fmt.Sprint(strings.Repeat("o", 50_000), i), testkit.Network(i).String(), i%2 == 0})
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testkit.WantHeap(t, tc.most, tc.fill)
		})
	}
	runtime.KeepAlive(b)
}
