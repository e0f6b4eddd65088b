package store_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// Over the engine of TestQueuesOverAFaultyEngine: the broker that stores messages
// gets each of them once, in order and without a hole, whatever became of the
// answers, and so does the next one.
func TestHistoriesOverAFaultyEngine(t *testing.T) {
	const senders, each = 4, 100
	dir := t.TempDir()
	w, data, control := faultyEngine(t, dir)
	h, err := store.OpenHistories(within(t), store.Options{Data: data, Control: control, SyncAlways: true, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &archive{Histories: h, engine: w.engine, close: closing(t, h, data, control, w.engine)}
	l := r.listen(t, broker.History{Destination: prices, Bytes: 1 << 20})
	w.calm.Store(false)

	var mu sync.Mutex
	confirmed := set{}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				body := fmt.Sprintf("%d.%03d", s, i)
				list := []broker.HistoryPut{price(fmt.Sprint("s", s), body)}
				if isPair(body) {
					list = append(list, price("pairs", body))
				}
				untilWorks(t, h)
				if l.try(list...) == nil {
					mu.Lock()
					confirmed[body] = true
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	w.calm.Store(true)
	w.check(t)
	untilWorks(t, h)
	l.put(price("s0", "last"))
	var stored []broker.HistoryRecord
	for n := 1; len(stored) == 0 || string(stored[len(stored)-1].Message.Body) != "last"; n++ {
		stored = l.wait(n)
	}
	if len(confirmed) < senders*each/2 {
		t.Errorf("only %d messages were confirmed", len(confirmed))
	}
	seen, pairs, last := set{}, set{}, map[string]string{}
	for i, m := range stored {
		body := string(m.Message.Body)
		if m.Number != uint64(i+1) {
			t.Fatalf("number %d follows %d", m.Number, i)
		}
		if of := m.Destination; of == "/topic/prices/pairs" {
			pairs[body] = true
		} else if seen[body] || body != "last" && body <= last[of] {
			t.Errorf("%s comes again, or behind %s", body, last[of])
		} else {
			seen[body], last[of] = true, body
		}
	}
	for body := range confirmed {
		if !seen[body] || isPair(body) && !pairs[body] {
			t.Errorf("%s was confirmed and is lost", body)
		}
	}
	for body := range seen {
		if isPair(body) && !pairs[body] {
			t.Errorf("only one of two messages that were stored together is there: %s", body)
		}
	}
	begun, n := l.beginning()
	if n != 1 {
		t.Errorf("it began %d times", n)
	}
	r.close()

	again := openArchive(t, dir).listen(t, broker.History{Destination: prices, Bytes: 1 << 20})
	again.put(price("s0", "new")) // after everything that was kept
	again.mu.Lock()
	defer again.mu.Unlock()
	if again.begun[0].Epoch != begun.Epoch || len(again.kept) != len(stored) {
		t.Fatalf("epoch %s with %d messages, want %s with %d", again.begun[0].Epoch, len(again.kept), begun.Epoch, len(stored))
	}
	numbers := make([]uint64, len(stored))
	for i, m := range again.kept {
		if numbers[i] = m.Number; m.Number != stored[i].Number || m.Destination != stored[i].Destination {
			t.Fatalf("number %d of %s, want %d of %s", m.Number, m.Destination, stored[i].Number, stored[i].Destination)
		}
	}
	found, err := again.log.Fetch(within(t), numbers)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range found {
		if m == nil || string(m.Body) != string(stored[i].Message.Body) {
			t.Fatalf("message %d is %v, want %s", numbers[i], m, stored[i].Message.Body)
		}
	}
}
