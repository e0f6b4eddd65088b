package handlers

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The requests of one session are posted one after another, those of others
// meanwhile. The session goes on.
func TestOrder(t *testing.T) {
	list := []Handler{{Destination: "/app/slow"}, {Destination: "/app/quick"}}
	within(t, Options{}, list, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		let := make(chan struct{})
		s.answerWith(func(q question) (int, string, string) {
			if q.Destination == "/app/slow" {
				<-let
			}
			return 204, "", ""
		})
		one, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
		one.Subscribe(t, "a", "/topic/a")
		send(one, "/app/slow", "1", "1")
		send(one, "/app/quick", "2", "2")
		send(one, "/topic/a", "meanwhile", "3")
		want(t, one, "MESSAGE /topic/a meanwhile")
		send(other, "/app/quick", "other", "1")
		want(t, other, "RECEIPT 1")
		if got := s.bodies(); !slices.Equal(got, []string{"1", "other"}) {
			t.Errorf("posted %q", got)
		}
		close(let)
		want(t, one, "RECEIPT 1", "RECEIPT 2", "RECEIPT 3")
		if got := s.bodies(); !slices.Equal(got, []string{"1", "other", "2"}) {
			t.Errorf("posted %q", got)
		}
	})
}

// A request that was accepted is posted although its session has ended.
func TestTheClientLeaves(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		let := make(chan struct{})
		s.answerWith(func(question) (int, string, string) {
			<-let
			return 200, jsonType, `{"reply":{"body":"a"}}`
		})
		c := brokertest.Connect(t, b)
		send(c, "/app/orders/7", "1", "1")
		send(c, "/app/orders/7", "2", "2")
		synctest.Wait()
		c.Close()
		synctest.Wait()
		close(let)
		if got := s.bodies(); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("posted %q", got)
		}
	})
}

// A request that expires while it waits for its turn is not posted.
func TestRequestExpires(t *testing.T) {
	within(t, Options{}, orders, func(t *testing.T, b *broker.Broker, _ *Set, s *backend) {
		s.answerWith(func(question) (int, string, string) {
			time.Sleep(time.Second)
			return 204, "", ""
		})
		c := brokertest.Connect(t, b)
		send(c, "/app/orders/7", "first", "1", "ttl", "500")
		send(c, "/app/orders/7", "short", "2", "ttl", "500")
		send(c, "/app/orders/7", "long", "3", "ttl", "5000")
		want(t, c, "RECEIPT 1", "RECEIPT 2", "RECEIPT 3")
		if got := s.bodies(); !slices.Equal(got, []string{"first", "long"}) {
			t.Errorf("posted %q", got)
		}
	})
}

// Requests wait for their turn, and not forever.
func TestInFlight(t *testing.T) {
	for _, o := range []struct {
		all int
		h   Handler
	}{{100, Handler{Destination: "/app/a", InFlight: 1}}, {1, Handler{Destination: "/app/a"}}} {
		within(t, Options{InFlight: o.all}, []Handler{o.h}, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			let := make(chan struct{})
			s.answerWith(func(q question) (int, string, string) {
				<-let
				return 204, "", ""
			})
			one, two := brokertest.Connect(t, b), brokertest.Connect(t, b)
			send(one, "/app/a", "1", "1")
			synctest.Wait()
			send(two, "/app/a", "2", "1")
			if got := s.bodies(); !slices.Equal(got, []string{"1"}) {
				t.Errorf("posted %q", got)
			}
			close(let)
			want(t, one, "RECEIPT 1")
			want(t, two, "RECEIPT 1")
			// Somebody has the only turn for good.
			slots := set.slots
			if o.all > 1 {
				slots = set.handlers[0].slots
			}
			slots <- struct{}{}
			begun := time.Now()
			send(two, "/app/a", "3", "2")
			want(t, two, "ERROR 2 the application does not answer now, try again later")
			if d := time.Since(begun); d != patience {
				t.Errorf("it waited %v", d)
			}
			if log := s.log(); !strings.Contains(log, "in_flight") || !strings.Contains(log, "no turn within 15s") {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// A session whose request finds no room stops reading; others go on.
func TestRoom(t *testing.T) {
	within(t, Options{Bytes: 15000}, []Handler{{Destination: "/app/a"}}, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
		let := make(chan struct{})
		s.answerWith(func(q question) (int, string, string) {
			<-let
			return 204, "", ""
		})
		c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
		other.Subscribe(t, "a", "/topic/a")
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			send(c, "/app/a", strings.Repeat(id, 100), id)
		}
		send(c, "/topic/a", "from c", "6")
		synctest.Wait()
		send(other, "/topic/a", "from the other", "1")
		want(t, other, "MESSAGE /topic/a from the other", "RECEIPT 1")
		close(let)
		want(t, c, "RECEIPT 1", "RECEIPT 2", "RECEIPT 3", "RECEIPT 4", "RECEIPT 5", "RECEIPT 6")
		want(t, other, "MESSAGE /topic/a from c")
		if set.room.free != 15000 {
			t.Errorf("%d bytes are free", set.room.free)
		}
	})
}

// One user cannot keep the requests of others from a server that is slow, with
// however many sessions, also after they have ended.
func TestOneUserLeavesRoomForOthers(t *testing.T) {
	for name, o := range map[string]Options{"in_flight": {}, "handlers_in_flight": {InFlight: 10}, "handlers_bytes": {Bytes: 400_000}} {
		within(t, o, []Handler{{Destination: "/app/a", InFlight: 10}}, func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
			s.answerWith(func(q question) (int, string, string) {
				if q.User == "mallory" {
					time.Sleep(1900 * time.Millisecond)
				}
				return 204, "", ""
			})
			for range 100 {
				c := brokertest.Connect(t, b, "login", "mallory")
				send(c, "/app/a", "", "1")
				send(c, "/app/a", "", "2")
				synctest.Wait()
				c.Close()
			}
			begun := time.Now()
			ann := brokertest.Connect(t, b, "login", "ann")
			send(ann, "/app/a", "", "1")
			want(t, ann, "RECEIPT 1")
			if d := time.Since(begun); d > time.Second {
				t.Errorf("%s: it took %v", name, d)
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			for _, l := range []*shares{set.shares, set.roomShares, set.handlers[0].shares} {
				if len(l.owners) != 0 {
					t.Errorf("%s: shares of %v are kept", name, l.owners)
				}
			}
		})
	}
}

// Close ends what is on its way.
func TestClose(t *testing.T) {
	within(t, Options{}, append(slices.Clone(orders), invoices...), func(t *testing.T, b *broker.Broker, set *Set, s *backend) {
		s.set(silent, "", "")
		c := brokertest.Connect(t, b)
		send(c, "/app/orders/7", "1", "1")
		send(c, "/app/orders/7", "2", "2")
		send(c, "/app/invoices/7", "3", "3")
		synctest.Wait()
		begun := time.Now()
		b.Close()
		set.Close()
		if d := time.Since(begun); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}
