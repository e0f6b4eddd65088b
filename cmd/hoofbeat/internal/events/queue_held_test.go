package events

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Waiting events take no more memory than they count, give or take a twentieth,
// also while the oldest make room for new ones.
func TestWaitingEventsHoldWhatTheyCount(t *testing.T) {
	for name, destination := range map[string]string{"small": "", "large": "/topic/" + strings.Repeat("x", 1000)} {
		t.Run(name, func(t *testing.T) {
			const bound = 2 << 20
			q := queue{maxBytes: bound}
			before := testkit.Heap()
			for i := range 12_000 {
				text, err := json.Marshal(sessionEvent{
					Event: Subscribed, Time: time.Unix(int64(i), 0).UTC(), Node: "one", Session: fmt.Sprint("session-", i), User: "ann",
					Remote: netip.MustParseAddrPort("192.0.2.1:4000"), Transport: "websocket", Destination: destination,
				})
				if err != nil {
					t.Fatal(err)
				}
				q.add(text)
			}
			held := int(testkit.Heap() - before)
			if q.missing == 0 || q.bytes > bound || q.bytes < bound*9/10 {
				t.Errorf("%d bytes are counted, %d events are missing", q.bytes, q.missing)
			}
			if held > q.bytes+q.bytes/20 || held < q.bytes/2 {
				t.Errorf("%d bytes are held, %d are counted", held, q.bytes)
			}
			runtime.KeepAlive(&q)
		})
	}
}
