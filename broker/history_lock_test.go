package broker_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A publisher that waits for a subscriber whose outbox is full does not hold the
// lock of the history meanwhile, so that others can publish. The subscriber that
// stays slow is ended all the same.
func TestPublishersDoNotWaitUnderTheLockOfAHistory(t *testing.T) {
	for range 50 { // the time in which the publisher waits may pass unseen
		b := newBroker(t, withHistory(10, "/topic/h/**"))
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "1", "/topic/h/a")
		id := ""
		for s := range b.Sessions() {
			id = s.ID
		}
		undo := b.StuffOutbox(id)
		done := make(chan struct{})
		go func() {
			defer close(done)
			publish(t, b, "/topic/h/a", "x")
		}()
		free := false
		for over := false; !over; {
			select {
			case <-done:
				over = true
			default:
				// In this order: it was free before the session ended.
				kept, now := b.Stats().HistoryMessages == 1, b.HistoryIsFree()
				free = free || kept && now && b.IsOpen(id)
				runtime.Gosched()
			}
		}
		undo()
		if f := c.Expect(t, "ERROR"); !strings.Contains(f.Get("message"), "are waiting to be read by you (limits.outbox)") {
			t.Fatalf("got %v", f)
		}
		if free {
			return
		}
	}
	t.Error("the lock is held while the publisher waits")
}
