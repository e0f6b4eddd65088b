package store_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// Over the engine of TestQueuesOverAFaultyEngine: a durable subscription, its
// position and a message that were confirmed are loaded, whatever became of other
// answers, each once and the messages in order; what was deleted is gone.
func TestDurablesOverAFaultyEngine(t *testing.T) {
	const senders, each, users = 3, 100, 3
	dir := t.TempDir()
	w, data, control := faultyEngine(t, dir)
	d, err := store.OpenDurables(within(t), store.Options{Data: data, Control: control, SyncAlways: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r := &durableRig{Durables: d, engine: w.engine, close: closing(t, d, data, control, w.engine)}
	r.load(t, 0)
	w.calm.Store(false)

	var mu sync.Mutex
	confirmed, settled := map[string]uint64{}, set{} // messages
	there, gone := set{}, set{}                      // subscriptions
	saved := map[string]broker.DurablePosition{}     // confirmed
	given := map[string]uint64{}                     // the latest that was tried
	note := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				body := fmt.Sprintf("%d.%03d", s, i)
				list := []broker.DurablePut{durablePut(body, 1)}
				if isPair(body) {
					list = append(list, durablePut(body+" too", 1))
				}
				untilWorks(t, d)
				var sequence uint64
				err := result(t, func(done func(error)) {
					d.Append(list, func(first uint64, err error) {
						if sequence = first; err == nil {
							note(func() {
								for n := range list {
									confirmed[string(list[n].Message.Body)] = first + uint64(n)
								}
							})
						}
						done(err)
					})
				})
				if err == nil && i%4 == 3 {
					note(func() { settled[body] = true })
					d.Settled(sequence)
				}
			}
		})
	}
	for u := range users {
		all.Go(func() {
			for i := range each / 4 {
				one := broker.StoredDurable{
					ID: fmt.Sprintf("u%dn%d", u, i), User: fmt.Sprint("user", u), Name: fmt.Sprint(i), Destination: "/topic/orders/*",
					Created: time.UnixMilli(int64(1000*u + i)).UTC(),
				}
				untilWorks(t, d)
				if result(t, func(done func(error)) { d.Create(one, done) }) != nil {
					continue
				}
				note(func() { there[one.ID] = true })
				for n := range uint64(3) {
					p := broker.DurablePosition{Given: n + 1, Used: one.Created}
					untilWorks(t, d)
					note(func() { given[one.ID] = p.Given })
					if result(t, func(done func(error)) { d.Save(one.ID, p, done) }) == nil {
						note(func() { saved[one.ID] = p })
					}
				}
				if i%3 == 2 {
					untilWorks(t, d)
					err := result(t, func(done func(error)) { d.Delete(one, done) })
					note(func() {
						delete(there, one.ID) // or uncertain
						gone[one.ID] = err == nil
					})
				}
			}
		})
	}
	all.Wait()
	w.calm.Store(true)
	w.check(t)
	untilWorks(t, d)
	r.close()
	if len(confirmed) < senders*each/2 || len(there) < users*each/16 {
		t.Errorf("only %d messages and %d subscriptions were confirmed", len(confirmed), len(there))
	}

	got := openDurables(t, dir).load(t, 1)
	loaded, last := map[string]uint64{}, map[byte]string{}
	for _, m := range got.messages {
		body := string(m.Message.Body)
		if _, twice := loaded[body]; twice || body <= last[body[0]] {
			t.Errorf("%s comes again, or behind %s", body, last[body[0]])
		}
		loaded[body], last[body[0]] = m.Sequence, body
	}
	for body, sequence := range confirmed {
		if at, found := loaded[body]; found && at != sequence || !found && !settled[body] {
			t.Errorf("%s was confirmed as %d and is %d", body, sequence, at)
		}
	}
	for body := range loaded {
		if _, found := loaded[body+" too"]; isPair(body) && !found {
			t.Errorf("only one of two messages that were stored together is there: %s", body)
		}
	}
	known := set{}
	for _, s := range got.subscriptions {
		if known[s.ID] {
			t.Errorf("%s is there twice", s.ID)
		}
		known[s.ID] = true
		if gone[s.ID] {
			t.Errorf("%s was deleted and is there", s.ID)
		}
	}
	for id := range there {
		if !known[id] {
			t.Errorf("%s was created and is lost", id)
		}
		if p := got.positions[id]; p.Given < saved[id].Given || p.Given > given[id] {
			t.Errorf("%s is at %d, confirmed was %d and tried %d", id, p.Given, saved[id].Given, given[id])
		}
	}
}
