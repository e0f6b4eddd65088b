package sockjs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

const fullOfTen = "{\"error\":\"too many sessions, try again: limits.sockjs_sessions is 10, and one address has at most half of them\"}\n"

// One address cannot take all places, neither with live sessions nor with ended
// ones that still give their reason.
func TestOneAddressLeavesPlacesToOthers(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{Sessions: 10}, func(t *testing.T, w *world) {
		for i := range 5 {
			w.connected(fmt.Sprint("live", i))
		}
		w.want("POST", "/000/more/xhr", "", 503, fullOfTen)
		other := w.as("192.0.2.77")
		for i := range 5 {
			other.connected(fmt.Sprint("other", i))
		}
		w.as("192.0.2.78").want("POST", "/000/late/xhr", "", 503, fullOfTen)
	})
}

func TestEndedSessionsMakeRoom(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{Sessions: 10}, func(t *testing.T, w *world) {
		for i := range 40 {
			id := fmt.Sprint("s", i)
			w.poll(id, "o")
			w.send(id, `["NONSENSE\n\n\u0000"]`)
			if i%4 == 3 {
				pass(2500 * time.Millisecond) // nobody takes their goodbye, and they stay for 5 s more
			}
		}
		w.as("192.0.2.77").connected("other")
		w.connected("own")
	})
}
