package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// remove removes the history of a destination, of so many messages.
func remove(t testing.TB, b *broker.Broker, destination string, want int) {
	t.Helper()
	if n, err := b.RemoveHistory(t.Context(), destination); err != nil || n != want {
		t.Fatalf("%s: removed %d (%v), want %d", destination, n, err, want)
	}
}

// histories describes the histories of a broker.
func histories(b *broker.Broker) string {
	var list []string
	for h := range b.Histories() {
		list = append(list, fmt.Sprintf("%s of %s %d %v", h.Destination, h.Entry, h.Messages, h.LastValue))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// What is removed is nowhere any more, and the old offsets of the entry prove
// nothing. The other destinations, the subscribers and the other entries go on.
func TestHistoryIsRemoved(t *testing.T) {
	b := newBroker(t, withHistory(3, "/topic/prices/**", "/topic/chat/*"))
	live := brokertest.Connect(t, b)
	live.Subscribe(t, "1", "/topic/prices/**")
	for _, body := range []string{"1", "2", "3"} {
		publish(t, b, "/topic/prices/a", "a"+body)
		publish(t, b, "/topic/prices/b", "b"+body)
	}
	publish(t, b, "/topic/chat/lobby", "hello")
	if got, want := histories(b), "/topic/chat/lobby of /topic/chat/* 1 false, /topic/prices/a of /topic/prices/** 3 false, /topic/prices/b of /topic/prices/** 3 false"; got != want {
		t.Errorf("the list is %s, want %s", got, want)
	}
	epoch, other := epochOf(t, b, "/topic/prices/a"), epochOf(t, b, "/topic/chat/lobby")
	before := b.Stats()
	info, err := b.History("/topic/prices/a")
	if err != nil || info.Epoch != epoch || info.Oldest != 1 || info.Newest != 5 || info.Since.IsZero() || info.Bytes <= 0 {
		t.Errorf("%+v, %v", info, err)
	}

	remove(t, b, "/topic/prices/a", 3)

	if got, want := histories(b), "/topic/chat/lobby of /topic/chat/* 1 false, /topic/prices/b of /topic/prices/** 3 false"; got != want {
		t.Errorf("the list is %s, want %s", got, want)
	}
	after := b.Stats()
	if after.HistoryMessages != before.HistoryMessages-3 || after.HistoryBytes != before.HistoryBytes-info.Bytes || after.HistoryDropped != before.HistoryDropped {
		t.Errorf("the statistics were %+v and are %+v", before, after)
	}
	wantMessages(t, live, "a1", "b1", "a2", "b2", "a3", "b3")
	publish(t, b, "/topic/prices/b", "b4")
	m := wantMessages(t, live, "b4")[0]
	now, _, _ := strings.Cut(m.Get("offset"), ":")
	if now == epoch || len(now) != 8 || now != epochOf(t, b, "/topic/prices/b") {
		t.Errorf("the epoch is %s, was %s", now, epoch)
	}
	if n, err := strconv.Atoi(numberOf(m.Get("offset"))); err != nil || n < 7 {
		t.Errorf("the numbers do not go on: %s", m.Get("offset"))
	}
	newest := numberOf(m.Get("offset"))
	const left = "b2 b3 b4"
	for _, c := range []struct{ destination, offset, want, recovered string }{
		{"/topic/prices/a", "first", "", "false"},
		{"/topic/prices/a", "last", "", "false"},
		{"/topic/prices/a", "-5", "", "false"},
		{"/topic/prices/a", epoch + ":1", "", "false"},
		{"/topic/prices/a", epoch + ":5", "", "false"}, // it had everything, which nobody knows
		{"/topic/prices/a", now + ":1", "", "false"},   // never given out
		{"/topic/prices/a", now + ":" + newest, "", "true"},
		{"/topic/prices/*", "first", left, "false"},
		{"/topic/prices/*", epoch + ":5", left, "false"},
		{"/topic/prices/*", now + ":1", left, "false"},
		{"/topic/prices/*", now + ":" + newest, "", "true"},
		{"/topic/prices/b", epoch + ":6", left, "false"},
		{"/topic/prices/b", now + ":" + newest, "", "true"},
		{"/topic/chat/lobby", other + ":1", "", "true"},
	} {
		client := brokertest.Connect(t, b)
		wantHeaders(t, subscribeFrom(t, client, "1", c.destination, "offset", c.offset), "recovered", c.recovered)
		t.Log(c.destination, c.offset)
		wantMessages(t, client, strings.Fields(c.want)...)
		client.Close()
	}
	publish(t, b, "/topic/prices/a", "a4")
	c := brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/prices/*", "offset", now+":"+newest), "recovered", "true")
	wantMessages(t, c, "a4")
	remove(t, b, "/topic/prices/a", 1)
	if again := epochOf(t, b, "/topic/prices/b"); again == now || again == epoch {
		t.Errorf("the epoch after two removals is %s, was %s and %s", again, epoch, now)
	}
}

// Nothing happens to an entry if what is to be removed is not there.
func TestNoHistoryToRemove(t *testing.T) {
	b := newBroker(t, withHistory(3, "/topic/prices/**"))
	publish(t, b, "/topic/prices/a", "1")
	publish(t, b, "/topic/prices/items?category=5", "2")
	epoch := epochOf(t, b, "/topic/prices/a")
	for destination, want := range map[string]error{
		"/topic/prices/b":   broker.ErrNoHistory,
		"/topic/other":      broker.ErrNoHistory,
		"/topic/prices/*":   broker.ErrDestination,
		"/topic/prices/a\n": broker.ErrDestination,
		"/queue/a":          broker.ErrDestination,
		"/user/queue/a":     broker.ErrDestination,
		"prices":            broker.ErrDestination,
		"":                  broker.ErrDestination,
	} {
		if n, err := b.RemoveHistory(t.Context(), destination); n != 0 || !errors.Is(err, want) {
			t.Errorf("%q: removed %d, %v, want %v", destination, n, err, want)
		}
		if _, err := b.History(destination); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", destination, err, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := b.RemoveHistory(ended, "/topic/prices/a"); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("removed %d, %v", n, err)
	}
	if now := epochOf(t, b, "/topic/prices/a"); now != epoch {
		t.Errorf("the epoch is %s, was %s", now, epoch)
	}
	remove(t, b, "/topic/prices/items?category=5", 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.RemoveHistory(t.Context(), "/topic/prices/a"); n != 0 || !errors.Is(err, broker.ErrClosed) {
		t.Errorf("of a closed broker: removed %d, %v", n, err)
	}
}

// While others publish: what was published before a removal is removed, what is
// published after it stays, and subscribers get each message once.
func TestRemovalBesidePublishers(t *testing.T) {
	const publishers, each, removals = 4, 60, 20
	b := newBroker(t, withHistory(0, "/topic/prices/**"))
	got := make(chan *broker.Message, publishers*each)
	sub, err := b.Subscribe(t.Context(), "/topic/prices/a", broker.SubscribeOptions{Buffer: 2 * publishers * each}, func(_ context.Context, m *broker.Message) error {
		got <- m
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Cancel()
	var mu sync.Mutex
	published := map[string]bool{} // Publish has returned
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				body := fmt.Sprintf("%d.%03d", p, i)
				if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/prices/a", Body: []byte(body)}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				published[body] = true
				mu.Unlock()
			}
		})
	}
	left := func() map[string]bool {
		c := brokertest.Connect(t, b)
		defer c.Close()
		subscribeFrom(t, c, "1", "/topic/prices/a", "offset", "first")
		c.Send("SEND", "end", "destination", "/topic/prices/end")
		bodies := map[string]bool{}
		info, err := b.History("/topic/prices/a")
		if err != nil {
			return bodies
		}
		for n := uint64(0); n < info.Newest; {
			m := c.Expect(t, "MESSAGE")
			bodies[string(m.Body)] = true
			if n, err = strconv.ParseUint(m.Get("x-stream-offset"), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		return bodies
	}
	for range removals {
		mu.Lock()
		old := make([]string, 0, len(published))
		for body := range published {
			old = append(old, body)
		}
		mu.Unlock()
		if _, err := b.RemoveHistory(t.Context(), "/topic/prices/a"); err != nil && !errors.Is(err, broker.ErrNoHistory) {
			t.Fatal(err)
		}
		kept := left()
		for _, body := range old {
			if kept[body] {
				t.Fatalf("%s was published before the removal and is replayed", body)
			}
		}
	}
	all.Wait()
	if _, err := b.RemoveHistory(t.Context(), "/topic/prices/a"); err != nil && !errors.Is(err, broker.ErrNoHistory) {
		t.Fatal(err)
	}
	publish(t, b, "/topic/prices/a", "last")
	if kept := left(); len(kept) != 1 || !kept["last"] {
		t.Errorf("in the end %v is kept", kept)
	}
	last, seen := uint64(0), map[string]bool{}
	for range publishers*each + 1 {
		m := testkit.Receive(t, got)
		n, err := strconv.ParseUint(m.Header("x-stream-offset"), 10, 64)
		if err != nil || n <= last || seen[string(m.Body)] {
			t.Fatalf("%s with number %d follows %d (%v)", m.Body, n, last, err)
		}
		last, seen[string(m.Body)] = n, true
	}
}

// A replay that has not come to what is removed does not hide that: who was
// promised everything is ended, others are told.
func TestRemovalDuringAReplay(t *testing.T) {
	o := withHistory(500, "/topic/prices/**")
	o.Limits.Frame, o.Limits.Outbox = 8<<10, 32<<10
	for name, c := range map[string]struct{ destination, recovered string }{
		"promised":             {"/topic/prices/a", "true"},
		"promised, a pattern":  {"/topic/prices/*", "true"},
		"from first":           {"/topic/prices/a", "false"},
		"from first, patterns": {"/topic/prices/*", "false"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, o)
			body := strings.Repeat("x", 1000)
			for range 500 {
				publish(t, b, "/topic/prices/a", body)
			}
			offset := "first"
			if c.recovered == "true" {
				offset = epochOf(t, b, "/topic/prices/a") + ":0"
			}
			client := connectSlow(t, b)
			client.send(frame("SUBSCRIBE", "", "id", "1", "destination", c.destination, "offset", offset, "receipt", "s"))
			wantHeaders(t, client.next(t), "recovered", c.recovered)
			remove(t, b, "/topic/prices/a", 500)
			publish(t, b, "/topic/prices/a", "new")
			for last := 0; ; last++ {
				f := client.next(t)
				if f.Command == "ERROR" {
					if c.recovered != "true" || last >= 500 {
						t.Errorf("%s after %d messages", f.Get("message"), last)
					}
					return
				}
				if string(f.Body) == "new" {
					if c.recovered == "true" || last >= 500 || f.Get("recovered") != "false" {
						t.Errorf("the new message comes after %d and says %v", last, f.Headers)
					}
					return
				}
				wantHeaders(t, f, "x-stream-offset", fmt.Sprint(last+1))
			}
		})
	}
}
