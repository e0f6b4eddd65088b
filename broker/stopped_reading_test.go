package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// At limits.in_flight nothing more is read, until half is done.
func TestReadingStopsAtTheLimit(t *testing.T) {
	late(t, broker.Options{Limits: broker.Limits{InFlight: 4}}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/topic/news")
		for i := range 10 {
			job(c, fmt.Sprint(i))
		}
		list := wantTaken(t, q, 4)
		publish(t, b, "/topic/news", "still delivered")
		c.Expect(t, "MESSAGE")
		list[0].Finish(nil)
		c.ExpectReceipt(t, "0")
		wantTaken(t, q, 4) // three of four are more than half
		list[2].Finish(nil)
		wantTaken(t, q, 4)
		list[1].Finish(nil)
		c.ExpectReceipt(t, "1")
		c.ExpectReceipt(t, "2")
		wantTaken(t, q, 7)
		for done := 3; done < 10; done++ {
			synctest.Wait()
			q.Taken()[done].Finish(nil)
			c.ExpectReceipt(t, fmt.Sprint(done))
		}
	})
}

func TestReadingStopsAtTheBytes(t *testing.T) {
	late(t, broker.Options{Limits: broker.Limits{InFlightBytes: 10_000}}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		for range 10 {
			c.Send("SEND", strings.Repeat("x", 4000), "destination", "/queue/jobs")
		}
		wantTaken(t, q, 3)[0].Finish(nil)
		wantTaken(t, q, 3)
		q.Taken()[1].Finish(nil)
		wantTaken(t, q, 5)
	})
}

// Answers that are ready count as well while they wait for their turn.
func TestReadyAnswersCount(t *testing.T) {
	late(t, broker.Options{Limits: broker.Limits{InFlight: 3}}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
		other.Subscribe(t, "s", "/topic/a")
		job(c, "0")
		for i := range 5 {
			c.Send("SEND", fmt.Sprint(i), "destination", "/topic/a", "receipt", "r")
		}
		list := wantTaken(t, q, 1)
		wantMessages(t, other, "0", "1")
		list[0].Finish(nil)
		c.ExpectReceipt(t, "0")
		for range 5 {
			c.ExpectReceipt(t, "r")
		}
		wantMessages(t, other, "2", "3", "4")
	})
}

// A session that reads nothing lives on, with heart-beats to its client, and can
// be ended by others.
func TestStoppedSessionCanBeEnded(t *testing.T) {
	store := auth.NewRevocations()
	for name, end := range map[string]func(*testing.T, *broker.Broker, string){
		"killed": func(t *testing.T, b *broker.Broker, id string) {
			if err := b.Disconnect(id, "out"); err != nil {
				t.Error(err)
			}
		},
		"revoked": func(t *testing.T, _ *broker.Broker, id string) {
			if err := store.Revoke(t.Context(), auth.Revocation{Session: id}); err != nil {
				t.Error(err)
			}
		},
		"closed": func(t *testing.T, b *broker.Broker, _ string) {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		for _, ws := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " ", ws), func(t *testing.T) {
				late(t, broker.Options{Limits: broker.Limits{InFlight: 1}, Revocations: store}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
					p := pipe(t, b, ws).connect(t, "heart-beat", "10000,10000")
					p.send(t, "SEND", "1", "destination", "/queue/jobs", "receipt", "1")
					list := wantTaken(t, q, 1)
					beats := 0
					for until := time.Now().Add(broker.StorePatience - time.Second); ; {
						e, ok := p.within(time.Until(until))
						if !ok {
							break
						}
						if e.what == "eol" {
							beats++
						} else if e.what != "ping" {
							t.Fatalf("got %v", e)
						}
					}
					if beats < 2 {
						t.Errorf("%d heart-beats", beats)
					}
					done := make(chan struct{})
					go func() {
						defer close(done)
						end(t, b, p.session)
					}()
					for {
						if e := p.next(t); e.what == "end" || e.what == "close" {
							break
						}
					}
					_ = p.Close() // the goodbye is over
					testkit.Receive(t, done)
					list[0].Finish(nil)
				})
			})
		}
	}
}

// A store that never answers does not hold a session for ever that reads nothing,
// whose client may have gone. One that answers in time does.
func TestStoppedSessionDoesNotWaitForEver(t *testing.T) {
	late(t, broker.Options{Limits: broker.Limits{InFlight: 4}}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		for range 4 {
			job(c, "r")
		}
		list := wantTaken(t, q, 4)
		time.Sleep(broker.StorePatience - time.Second)
		list[0].Finish(nil)
		c.ExpectReceipt(t, "r")
		began := time.Now()
		wantLateError(t, c, "", "the store has not answered for 30s")
		if d := time.Since(began); d < broker.StorePatience || d > broker.StorePatience+2*time.Second {
			t.Errorf("ended after %v", d)
		}
	})
}

// The mail of a session is read while it reads nothing else: rules that change
// end its subscriptions at once.
func TestMailIsReadWhileReadingStops(t *testing.T) {
	late(t, broker.Options{Limits: broker.Limits{InFlight: 1}}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "n", "/user/topic/session")
		c.Subscribe(t, "s", "/topic/a")
		job(c, "1")
		list := wantTaken(t, q, 1)
		if err := b.SetPolicy(broker.Policy{Authorizer: rules(t, allow("/user/**", auth.Subscribe)), Limits: broker.Limits{InFlight: 1}}); err != nil {
			t.Fatal(err)
		}
		if m := c.Expect(t, "MESSAGE"); !strings.Contains(string(m.Body), "subscription-ended") {
			t.Errorf("got %s", m.Body)
		}
		list[0].Finish(nil)
		c.ExpectReceipt(t, "1")
	})
}
