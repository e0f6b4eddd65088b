package store_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// removals returns what the feed was told.
func (l *listener) removals() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, r := range l.gone {
		fmt.Fprintf(&b, "%d:%s ", r.Number, strings.TrimPrefix(r.Destination, "/topic/prices/"))
	}
	return strings.TrimSpace(b.String())
}

// epoch returns the one that is in force.
func (l *listener) epoch() string {
	begun, _ := l.beginning()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.gone); n > 0 {
		return l.gone[n-1].Epoch
	}
	return begun.Epoch
}

// onDisk returns how many messages of /topic/prices/a, and records of removals,
// the engine has.
func (r *archive) onDisk(t testing.TB, l *listener) (messages, records uint64) {
	t.Helper()
	ofA, removals := store.RemovalSubjects(l.log, "/topic/prices/a")
	for info := range r.js.ListStreams(within(t)).Info() {
		if !strings.Contains(info.Config.Name, "_HISTORY_") {
			continue
		}
		for subject, n := range map[string]*uint64{ofA: &messages, removals: &records} {
			s, err := r.js.Stream(within(t), info.Config.Name)
			if err != nil {
				t.Fatal(err)
			}
			found, err := s.Info(within(t), jetstream.WithSubjectFilter(subject))
			if err != nil {
				t.Fatal(err)
			}
			for _, count := range found.State.Subjects {
				*n += count
			}
		}
	}
	return messages, records
}

// A removal is a record in the order of the messages. All brokers are told of it,
// also later ones, and all know the same epoch.
func TestRemovalOfADestination(t *testing.T) {
	dir := t.TempDir()
	r := openArchive(t, dir)
	e := broker.History{Destination: prices, Messages: 3, Bytes: 1 << 20}
	l, other := r.listen(t, e), r.listen(t, e)
	l.put(price("a", "1"))
	l.put(price("b", "2"))
	l.put(price("a", "3"))
	first := l.epoch()
	if err := l.log.Remove(within(t), "/topic/prices/a"); err != nil { // 4
		t.Fatal(err)
	}
	equal(t, "told", l.removals(), "4:a")
	if n, records := r.onDisk(t, l); n != 0 || records != 1 {
		t.Errorf("the engine has %d messages and %d records", n, records)
	}
	l.put(price("a", "5"))
	equal(t, "stored elsewhere", tell(other.wait(4)), "1:a=1 2:b=2 3:a=3 5:a=5")
	equal(t, "told elsewhere", other.removals(), "4:a")
	second := l.epoch()
	if second == first || len(second) != 8 || other.epoch() != second {
		t.Errorf("epochs %s, %s and elsewhere %s", first, second, other.epoch())
	}
	if err := other.log.Remove(within(t), "/topic/prices/none"); err != nil { // 6; the broker looks before
		t.Fatal(err)
	}
	l.put(price("b", "7"))
	third := l.epoch()
	if third == second || third == first || other.epoch() != third {
		t.Errorf("epochs %s, %s, %s and elsewhere %s", first, second, third, other.epoch())
	}
	found, err := l.log.Fetch(within(t), []uint64{1, 2, 3, 5})
	if err != nil || found[0] != nil || found[1] == nil || found[2] != nil || found[3] == nil {
		t.Errorf("fetched %v, %v", found, err)
	}
	r.close()

	r = openArchive(t, dir)
	l = r.listen(t, e)
	equal(t, "kept", tell(l.kept), "2:b=- 5:a=- 7:b=-")
	equal(t, "told after a restart", l.removals(), "4:a 6:none")
	if l.epoch() != third || l.begun[0].Last != 7 {
		t.Errorf("begun with %+v, epoch %s, want %s", l.begun, l.epoch(), third)
	}
	// Old records go, but the last one stays.
	if err := store.SweepRemovals(within(t), l.log, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n, records := r.onDisk(t, l); n != 1 || records != 1 {
		t.Errorf("the engine has %d messages and %d records", n, records)
	}
	r.close()
	l = openArchive(t, dir).listen(t, e)
	equal(t, "told in the end", l.removals(), "6:none")
	if l.epoch() != third {
		t.Errorf("epoch %s, want %s", l.epoch(), third)
	}
}

// A process that is killed after the record leaves nothing of the messages.
func TestRemovalIsFinishedLater(t *testing.T) {
	dir := t.TempDir()
	r := openArchive(t, dir)
	o := broker.Options{History: []broker.History{{Destination: prices, Messages: 3}}, HistoryStore: r}
	l := r.listen(t, o.History[0])
	l.put(price("a", "1"))
	l.put(price("b", "2"))
	if err := store.RecordRemoval(within(t), l.log, "/topic/prices/a"); err != nil { // 3
		t.Fatal(err)
	}
	l.put(price("a", "4"))
	epoch := l.epoch()
	if n, _ := r.onDisk(t, l); n != 2 {
		t.Fatalf("the engine has %d messages: nothing is tested", n)
	}
	r.close()

	r = openArchive(t, dir)
	o.HistoryStore = r
	b := brokertest.New(t, o)
	if h, err := b.History("/topic/prices/a"); err != nil || h.Messages != 1 || h.Oldest != 4 || h.Epoch != epoch {
		t.Errorf("%+v, %v, want epoch %s", h, err, epoch)
	}
	l = r.listen(t, o.History[0])
	brokertest.Eventually(t, "the engine has only the new message", func() bool {
		n, _ := r.onDisk(t, l)
		return n == 1
	})
}

// Over the engine of TestQueuesOverAFaultyEngine: a removal that has ended well is
// in force, and others are in force as a whole or not at all.
func TestRemovalsOverAFaultyEngine(t *testing.T) {
	dir := t.TempDir()
	w, data, control := faultyEngine(t, dir)
	h, err := store.OpenHistories(within(t), store.Options{Data: data, Control: control, SyncAlways: true, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &archive{Histories: h, engine: w.engine, close: closing(t, h, data, control, w.engine)}
	e := broker.History{Destination: prices, Bytes: 1 << 20}
	l := r.listen(t, e)
	w.calm.Store(false)
	const rounds = 40
	ended := 0
	var oldest string // the first message of a that may be there
	for i := range rounds {
		for n := range 3 {
			untilWorks(t, h)
			if err := l.try(price("a", fmt.Sprintf("%03d.%d", i, n)), price("b", fmt.Sprintf("%03d.%d", i, n))); err != nil {
				t.Log(err)
			}
		}
		untilWorks(t, h)
		if err := l.log.Remove(within(t), "/topic/prices/a"); err == nil {
			ended++
			oldest = fmt.Sprintf("%03d", i+1)
		}
	}
	w.calm.Store(true)
	untilWorks(t, h)
	l.put(price("b", "last"))
	t.Logf("%d of %d removals ended well", ended, rounds)
	if ended < rounds/4 {
		t.Error("too few")
	}
	epoch := l.epoch()
	l.mu.Lock()
	last, stored := l.gone[len(l.gone)-1].Number, l.stored
	l.mu.Unlock()
	left := map[uint64]string{} // that must be there
	for _, m := range stored {
		if m.Destination != "/topic/prices/a" || m.Number > last {
			left[m.Number] = string(m.Message.Body)
		}
		if m.Destination == "/topic/prices/a" && m.Number > last && string(m.Message.Body) < oldest {
			t.Errorf("%s follows its removal", m.Message.Body)
		}
	}
	r.close()

	again := openArchive(t, dir).listen(t, e)
	if got := again.epoch(); got != epoch {
		t.Errorf("epoch %s after a restart, was %s", got, epoch)
	}
	for _, m := range again.kept {
		if m.Destination == "/topic/prices/a" && m.Number < last {
			continue // the feed was told
		}
		if left[m.Number] == "" {
			t.Errorf("number %d of %s was not known", m.Number, m.Destination)
		}
		delete(left, m.Number)
	}
	for number, body := range left {
		t.Errorf("number %d, %s, is lost", number, body)
	}
}
