//go:build !race

package broker_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// The bytes of a history bound its memory, whatever headers a client sends.
func TestMemoryOfAHistoryIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		header      string
		destination func(i int) string
	}{
		"a header that is not kept": {"id", func(i int) string { return fmt.Sprint("/topic/a/", i) }},
		"a forged offset":           {"offset", func(int) string { return "/topic/a/1" }},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{History: []broker.History{{Destination: "/topic/a/**", Messages: -1, Bytes: 1 << 20}}})
			c := brokertest.Connect(t, b)
			junk := strings.Repeat("x", 7<<10)
			before := testkit.Heap()
			for i := range 2000 {
				c.Send("SEND", "1", "destination", test.destination(i), test.header, junk)
			}
			c.Sync(t)
			taken := testkit.Heap() - before
			if taken > 2<<20 {
				t.Errorf("a history of 1 MiB takes %d KiB", taken>>10)
			}
			runtime.KeepAlive(b)
		})
	}
}
