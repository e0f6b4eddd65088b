package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// archive is an engine with histories in it.
type archive struct {
	*store.Histories
	engine *embedded.Server
	js     jetstream.JetStream
	close  func()
}

// openArchive starts an engine in a directory. It ends with the test, or before
// by close.
func openArchive(t testing.TB, dir string, settings ...setting) *archive {
	t.Helper()
	eo := embedded.Options{Dir: dir}
	o := store.Options{SyncAlways: true, Timeout: patience, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, set := range settings {
		set(&eo, &o)
	}
	engine, err := embedded.Start(within(t), eo)
	if err != nil {
		t.Fatal(err)
	}
	data, err := engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	control, err := engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	o.Data, o.Control = data, control
	h, err := store.OpenHistories(within(t), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(control)
	if err != nil {
		t.Fatal(err)
	}
	r := &archive{Histories: h, engine: engine, js: js}
	r.close = closing(t, h, data, control, engine)
	return r
}

// listener is a broker that uses an entry.
type listener struct {
	t   testing.TB
	log broker.HistoryLog

	mu      sync.Mutex
	changed sync.Cond
	begun   []broker.HistoryBeginning
	kept    []broker.HistoryRecord
	ids     []string
	ready   bool
	stored  []broker.HistoryRecord
	gone    []broker.HistoryRemoval
}

const prices = "/topic/prices/**"

func (r *archive) listen(t testing.TB, e broker.History) *listener {
	t.Helper()
	l := &listener{t: t}
	l.changed.L = &l.mu
	log, err := r.Open(within(t), e, l)
	if err != nil {
		t.Fatal(err)
	}
	l.log = log
	return l
}

func (l *listener) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.changed.Broadcast()
}

func (l *listener) Begin(b broker.HistoryBeginning) {
	l.change(func() { l.begun, l.kept, l.ready = append(l.begun, b), nil, false })
}

func (l *listener) Kept(list []broker.HistoryRecord) {
	l.change(func() { l.kept = append(l.kept, list...) })
}

func (l *listener) Removed(r broker.HistoryRemoval) {
	l.change(func() { l.gone = append(l.gone, r) })
}

func (l *listener) Remembered(once string, _ time.Time) {
	l.change(func() { l.ids = append(l.ids, once) })
}
func (l *listener) Ready() { l.change(func() { l.ready = true }) }

func (l *listener) Stored(list []broker.HistoryRecord) {
	l.change(func() {
		if !l.ready {
			l.t.Error("Stored before Ready")
		}
		l.stored = append(l.stored, list...)
	})
}

// beginning returns the latest beginning, and how many there were.
func (l *listener) beginning() (broker.HistoryBeginning, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun[len(l.begun)-1], len(l.begun)
}

// wait waits until n messages were stored, and returns them.
func (l *listener) wait(n int) []broker.HistoryRecord {
	l.t.Helper()
	late := time.AfterFunc(patience, func() { l.change(func() {}) })
	defer late.Stop()
	end := time.Now().Add(patience)
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.stored) < n {
		if !time.Now().Before(end) {
			l.t.Fatalf("%d messages, want %d", len(l.stored), n)
		}
		l.changed.Wait()
	}
	return slices.Clone(l.stored)
}

func price(of, body string) broker.HistoryPut {
	m := &broker.Message{Destination: "/topic/prices/" + of, ID: "id-" + of + "-" + body, Body: []byte(body), Headers: []broker.Header{{Name: "of", Value: of}}}
	return broker.HistoryPut{Destination: m.Destination, Message: m}
}

func (l *listener) try(list ...broker.HistoryPut) error {
	l.t.Helper()
	return result(l.t, func(done func(error)) { l.log.Append(list, done) })
}

func (l *listener) put(list ...broker.HistoryPut) {
	l.t.Helper()
	if err := l.try(list...); err != nil {
		l.t.Fatal(err)
	}
}

// tell describes records.
func tell(list []broker.HistoryRecord) string {
	var b strings.Builder
	for _, r := range list {
		body := "-"
		if r.Message != nil {
			body = string(r.Message.Body)
		}
		fmt.Fprintf(&b, "%d:%s=%s ", r.Number, strings.TrimPrefix(r.Destination, "/topic/prices/"), body)
	}
	return strings.TrimSpace(b.String())
}

// What is stored is there after a restart, under the same epoch and numbers.
func TestHistoryIsKept(t *testing.T) {
	for name, set := range map[string]setting{"always": func(*embedded.Options, *store.Options) {}, "interval": interval} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := openArchive(t, dir, set)
			e := broker.History{Destination: prices, Messages: 2, Bytes: 1 << 20}
			l := r.listen(t, e)
			before := time.Now()
			first := price("a", "1")
			l.put(first)
			l.put(price("b", "2"), price("a", "3")) // together
			l.put(price("a", "4"))
			stored := l.wait(4)
			equal(t, "stored", tell(stored), "1:a=1 2:b=2 3:a=3 4:a=4")
			if stored[0].Message != first.Message {
				t.Error("a message of this broker is another one")
			}
			if at := stored[0].Time; at.Before(before.Add(-time.Second)) || time.Since(at) > patience || stored[0].Size < 40 {
				t.Errorf("stored at %v, %d bytes", at, stored[0].Size)
			}
			begun, _ := l.beginning()
			if len(begun.Epoch) != 8 || begun.First != 1 || begun.Last != 0 || begun.Full != 2 {
				t.Errorf("begun with %+v", begun)
			}
			r.close()
			if err := l.try(price("a", "late")); err == nil {
				t.Error("a message is stored after the end")
			}

			r = openArchive(t, dir, set)
			l = r.listen(t, e)
			again, _ := l.beginning()
			if again != (broker.HistoryBeginning{Epoch: begun.Epoch, First: 2, Last: 4, Full: 2}) {
				t.Errorf("begun again with %+v, first with %+v", again, begun)
			}
			equal(t, "kept", tell(l.kept), "2:b=- 3:a=- 4:a=-")
			found, err := l.log.Fetch(within(t), []uint64{1, 2, 4, 5})
			if err != nil {
				t.Fatal(err)
			}
			if found[0] != nil || found[3] != nil || string(found[1].Body) != "2" || string(found[2].Body) != "4" || found[2].Header("of") != "a" || found[2].ID != "id-a-4" {
				t.Errorf("found %+v", found)
			}
			l.put(price("c", "5"))
			equal(t, "stored", tell(l.wait(1)), "5:c=5")
		})
	}
}

// Each of two brokers gets what the other one stores, all in one order.
func TestHistoryOfTwoBrokers(t *testing.T) {
	r := openArchive(t, t.TempDir())
	e := broker.History{Destination: prices, Messages: 1000}
	list := []*listener{r.listen(t, e), r.listen(t, e)}
	const each = 300
	var all sync.WaitGroup
	for i, l := range list {
		for n := range each {
			all.Add(1)
			l.log.Append([]broker.HistoryPut{price(fmt.Sprint("x", n%3), fmt.Sprintf("%d.%d", i, n))}, func(err error) {
				if err != nil {
					t.Error(err)
				}
				all.Done()
			})
		}
	}
	all.Wait()
	first, second := list[0].wait(2*each), list[1].wait(2*each)
	equal(t, "the order", tell(first), tell(second))
	next := [2]int{}
	for i, m := range first {
		if m.Number != uint64(i+1) {
			t.Fatalf("%d follows %d", m.Number, i)
		}
		by, n, _ := strings.Cut(string(m.Message.Body), ".")
		who, _ := strconv.Atoi(by)
		if n != strconv.Itoa(next[who]) {
			t.Fatalf("%s of %s follows %d", n, by, next[who]-1)
		}
		next[who]++
	}
}

// The engine may not republish what it has stored: a connection was lost, or the
// leader has changed. A hole is filled before anything after it, also at the end.
func TestHoleIsRepaired(t *testing.T) {
	r := openArchive(t, t.TempDir())
	l := r.listen(t, broker.History{Destination: prices})
	l.put(price("a", "1"))
	silent := func(yes bool) {
		t.Helper()
		stream, err := r.js.StreamNameBySubject(within(t), "hb.r.>")
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.js.Stream(within(t), stream)
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		c.RePublish = nil
		if !yes {
			c.RePublish = &jetstream.RePublish{Source: c.Subjects[0], Destination: strings.Replace(c.Subjects[0], "hb.r.", "hb.h.", 1)}
		}
		if _, err := r.js.UpdateStream(within(t), c); err != nil {
			t.Fatal(err)
		}
	}
	silent(true)
	second := price("a", "2")
	l.put(second) // its end waits until it was handed over
	if got := l.wait(2)[1].Message; got != second.Message {
		t.Error("a message of this broker is another one")
	}
	done := make(chan error, 1)
	l.log.Append([]broker.HistoryPut{price("b", "3")}, func(err error) { done <- err })
	silent(false)
	l.put(price("b", "4"))
	if err := testkit.Receive(t, done); err != nil {
		t.Error(err)
	}
	equal(t, "stored", tell(l.wait(4)), "1:a=1 2:a=2 3:b=3 4:b=4")
}

// The limits of an entry change, and the smallest number of messages is
// remembered.
func TestHistoryLimits(t *testing.T) {
	dir := t.TempDir()
	r := openArchive(t, dir)
	l := r.listen(t, broker.History{Destination: prices, Messages: 5})
	for i := range 5 {
		l.put(price("a", strconv.Itoa(i)))
	}
	l.log.SetLimits(broker.History{Destination: prices, Messages: 2, Age: time.Hour, Bytes: 1 << 20})
	gone := func() bool {
		found, err := l.log.Fetch(within(t), []uint64{3, 4})
		if err != nil {
			t.Fatal(err)
		}
		return found[0] == nil && found[1] != nil
	}
	for end := time.Now().Add(patience); !gone(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lower limit has no effect")
		}
	}
	r.close()
	r = openArchive(t, dir)
	l = r.listen(t, broker.History{Destination: prices, Messages: 10})
	begun, _ := l.beginning()
	if begun.Full != 2 || begun.First != 4 || begun.Last != 5 {
		t.Errorf("begun with %+v", begun)
	}
	for i := range 6 {
		l.put(price("a", strconv.Itoa(i)))
	}
	r.close()
	r = openArchive(t, dir)
	l = r.listen(t, broker.History{Destination: prices, Messages: 10})
	if again, _ := l.beginning(); again.Full != 2 || len(l.kept) != 8 || again.Epoch != begun.Epoch {
		t.Errorf("begun with %+v and %d messages", again, len(l.kept))
	}
}

// A store that has lost messages does not use their numbers again under the same
// epoch.
func TestHistoryThatLostMessages(t *testing.T) {
	r := openArchive(t, t.TempDir())
	e := broker.History{Destination: prices}
	l := r.listen(t, e)
	l.put(price("a", "1"))
	begun, _ := l.beginning()
	stream, err := r.js.StreamNameBySubject(within(t), "hb.r.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.js.DeleteStream(within(t), stream); err != nil {
		t.Fatal(err)
	}
	if err := l.try(price("a", "2")); err == nil {
		t.Error("a message is stored nowhere")
	}
	r.Fail(errors.New("the test says so"))
	for end := time.Now().Add(patience); r.Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(r.Err())
		}
	}
	again, n := l.beginning()
	if n != 2 || again.Epoch == begun.Epoch || again.Last != 0 {
		t.Errorf("begun %d times, last with %+v", n, again)
	}
	l.put(price("a", "3"))
	equal(t, "stored", tell(l.wait(2)), "1:a=1 1:a=3")
}

// After a failure of the engine the epoch stays, what was stored is handed over,
// and calls end.
func TestHistoryGoesOnAfterAFailure(t *testing.T) {
	r := openArchive(t, t.TempDir())
	l := r.listen(t, broker.History{Destination: prices})
	l.put(price("a", "0"))
	begun, _ := l.beginning()
	for round := range 5 {
		results := make(chan error, 100)
		for i := range cap(results) {
			l.log.Append([]broker.HistoryPut{price("a", fmt.Sprint(round, ".", i))}, func(err error) { results <- err })
			if i == 20*round {
				go r.Fail(errors.New("the test says so"))
			}
		}
		failed := 0
		for range cap(results) {
			select {
			case err := <-results:
				if err != nil {
					failed++
				}
			case <-time.After(patience):
				t.Fatal("a call has no end")
			}
		}
		for end := time.Now().Add(patience); l.try(price("a", fmt.Sprint("after ", round))) != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it does not work again")
			}
		}
		t.Log(failed, "calls failed")
	}
	if _, n := l.beginning(); n != 1 {
		t.Errorf("begun %d times", n)
	}
	stored := l.wait(6)
	for i, m := range stored {
		if m.Number != uint64(i+1) {
			t.Fatalf("%d follows %d", m.Number, i)
		}
	}
	r.close()
	if begun.Epoch == "" {
		t.Error("no epoch")
	}
}

// Without room nothing is stored; what is there can be read.
func TestHistoryWithoutRoom(t *testing.T) {
	full := &broker.QueueFullError{Key: "store.reserve", Limit: 1, Text: "the disk is full"}
	var mu sync.Mutex
	var why error
	r := openArchive(t, t.TempDir(), func(_ *embedded.Options, o *store.Options) {
		o.Room = func() error {
			mu.Lock()
			defer mu.Unlock()
			return why
		}
	})
	set := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		why = err
	}
	l := r.listen(t, broker.History{Destination: prices})
	l.put(price("a", "1"))
	set(full)
	if err := l.try(price("a", "2")); !errors.Is(err, broker.ErrQueueFull) {
		t.Errorf("without room: %v", err)
	}
	if found, err := l.log.Fetch(within(t), []uint64{1}); err != nil || found[0] == nil {
		t.Errorf("%v, %v", found, err)
	}
	set(nil)
	l.put(price("a", "3"))
	equal(t, "stored", tell(l.wait(2)), "1:a=1 2:a=3")
}

// An entry that is gone from the configuration is named in the log.
func TestForgottenHistoryIsNamed(t *testing.T) {
	dir := t.TempDir()
	r := openArchive(t, dir)
	l := r.listen(t, broker.History{Destination: prices})
	l.put(price("a", "1"))
	l.log.Close()
	var log strings.Builder
	conn, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, keep := range [][]broker.History{{{Destination: prices}}, nil} {
		h, err := store.OpenHistories(within(t), store.Options{Data: conn, Control: conn, Logger: slog.New(slog.NewTextHandler(&log, nil))}, keep)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if named := strings.Contains(log.String(), "destination=/topic/prices/** stream=HB_HISTORY_"); named == (keep != nil) {
			t.Errorf("with %v: %s", keep, log.String())
		}
	}
}

// A message that is larger than the engine takes is refused.
func TestHistoryRefusesALargeMessage(t *testing.T) {
	r := openArchive(t, t.TempDir())
	l := r.listen(t, broker.History{Destination: prices})
	p := price("a", strings.Repeat("x", 2<<20))
	if err := l.try(p); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v", err)
	}
	l.put(price("a", "1"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.log.Fetch(ctx, []uint64{1}); err == nil {
		t.Error("a fetch without time")
	}
}
