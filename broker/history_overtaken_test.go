package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A client that reads too slowly for the history, after it was told that it
// misses nothing, is not left with a hole.
func TestH10OvertakenAfterRecovered(t *testing.T) {
	o := withHistory(500, "/topic/prices/**")
	o.Limits.Frame, o.Limits.Outbox = 8<<10, 32<<10
	for _, destination := range []string{"/topic/prices/a", "/topic/prices/*"} {
		t.Run(destination, func(t *testing.T) {
			b := newBroker(t, o)
			body := strings.Repeat("x", 1000)
			for range 500 {
				publish(t, b, "/topic/prices/a", body)
			}
			epoch := epochOf(t, b, "/topic/prices/a")
			c := connectSlow(t, b)
			c.send(frame("SUBSCRIBE", "", "id", "1", "destination", destination, "offset", epoch+":0", "receipt", "s"))
			wantHeaders(t, c.next(t), "recovered", "true")
			for range 400 {
				publish(t, b, "/topic/prices/a", body)
			}
			last := 0
			for {
				f := c.next(t)
				if f.Command == "ERROR" {
					if text := f.Get("message"); !strings.Contains(text, "dropped messages before you read them: it keeps at most ") || !strings.Contains(text, "(history[].messages)") {
						t.Errorf("the ERROR says %q", text)
					}
					break
				}
				last++
				wantHeaders(t, f, "x-stream-offset", fmt.Sprint(last))
			}
			if last == 0 || last > 400 {
				t.Errorf("the end came after %d messages", last)
			}
			again := brokertest.Connect(t, b)
			wantHeaders(t, subscribeFrom(t, again, "1", destination, "offset", fmt.Sprint(epoch, ":", last)), "recovered", "false")
		})
	}
}

// Who was not promised that goes on, and the message after a hole says so.
func TestH10HoleIsSaid(t *testing.T) {
	o := withHistory(500, "/topic/prices/**")
	o.Limits.Frame, o.Limits.Outbox = 8<<10, 32<<10
	b := newBroker(t, o)
	body := strings.Repeat("x", 1000)
	for range 500 {
		publish(t, b, "/topic/prices/a", body)
	}
	c := connectSlow(t, b)
	c.send(frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/a", "offset", "first", "receipt", "s"))
	wantHeaders(t, c.next(t), "recovered", "false")
	for range 400 {
		publish(t, b, "/topic/prices/a", body)
	}
	last, holes := 0, 0
	for last < 900 {
		f := c.next(t)
		n := 0
		if _, err := fmt.Sscan(f.Get("x-stream-offset"), &n); err != nil {
			t.Fatal(err)
		}
		said := f.Get("recovered")
		switch {
		case n == last+1 && (said == "") != (n > 1):
			t.Errorf("message %d says recovered:%s", n, said)
		case n != last+1:
			holes++
			if said != "false" {
				t.Errorf("message %d follows %d and says recovered:%q", n, last, said)
			}
		}
		last = n
	}
	if holes != 1 {
		t.Errorf("%d holes", holes)
	}
}
