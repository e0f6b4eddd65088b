package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

func priceOnce(of, body, once string) broker.HistoryPut {
	p := price(of, body)
	p.Once = once
	return p
}

// A message with an id is stored once, also after a restart, and although a limit
// has dropped it. What is stored with it is not stored either. The records of ids
// are no messages.
func TestHistoryAcceptsOnce(t *testing.T) {
	for name, set := range map[string]setting{"always": func(*embedded.Options, *store.Options) {}, "interval": interval} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := openArchive(t, dir, set)
			e := broker.History{Destination: prices, Messages: 1, Age: time.Hour}
			l := r.listen(t, e)
			refused := func(list ...broker.HistoryPut) {
				t.Helper()
				if err := l.try(list...); !errors.Is(err, broker.ErrDuplicate) {
					t.Errorf("%v", err)
				}
			}
			l.put(priceOnce("a", "1", "one"))
			l.put(priceOnce("a", "2", "two"), price("b", "3"), priceOnce("a", "4", "four"))
			refused(priceOnce("a", "again", "one"))
			refused(price("c", "with it"), priceOnce("a", "again", "four"))
			l.put(price("a", "5"))
			var all sync.WaitGroup // at once, so that some go together
			errs := make([]error, 40)
			for i := range errs {
				all.Add(1)
				l.log.Append([]broker.HistoryPut{priceOnce("d", fmt.Sprint(i), fmt.Sprint("d", i/2))}, func(err error) {
					errs[i] = err
					all.Done()
				})
			}
			all.Wait()
			for i, err := range errs {
				if i%2 == 0 && err != nil || i%2 == 1 && !errors.Is(err, broker.ErrDuplicate) {
					t.Errorf("message %d: %v", i, err)
				}
			}
			stored := l.wait(25)
			equal(t, "stored", bodiesOf(stored[:5]), []string{"1", "2", "3", "4", "5"})
			last := stored[24].Number
			r.close()

			r = openArchive(t, dir, set)
			l = r.listen(t, e)
			if len(l.kept) != 3 || l.kept[0].Number != stored[2].Number || l.kept[2].Number != last {
				t.Errorf("kept: %s", tell(l.kept))
			}
			if l.kept[2].Size != stored[24].Size || l.kept[2].Size < 256 {
				t.Errorf("a message with an id has %d bytes, had %d", l.kept[2].Size, stored[24].Size)
			}
			want := []string{"four", "one", "two"}
			for i := range len(errs) / 2 {
				want = append(want, fmt.Sprint("d", i))
			}
			slices.Sort(want)
			slices.Sort(l.ids)
			equal(t, "ids", l.ids, want)
			for _, once := range want {
				refused(priceOnce("a", "after a restart", once), price("c", "with it"))
			}
			l.put(priceOnce("e", "6", "new"))
			if got := l.wait(1)[0]; string(got.Message.Body) != "6" || got.Number <= last {
				t.Errorf("number %d after %d: %s", got.Number, last, got.Message.Body)
			}
		})
	}
}

// The records of ids go when their two minutes are over.
func TestHistoryForgetsIDs(t *testing.T) {
	dir := t.TempDir()
	r := openArchive(t, dir)
	e := broker.History{Destination: prices, Messages: 5}
	l := r.listen(t, e)
	l.put(priceOnce("a", "1", "one"))
	l.put(priceOnce("a", "2", "two"))
	messages := func() uint64 {
		name, err := r.js.StreamNameBySubject(within(t), "hb.r.>")
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.js.Stream(within(t), name)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().State.Msgs
	}
	equal(t, "in the stream", messages(), 4)
	for _, later := range []time.Duration{time.Minute, 4 * time.Minute} {
		if err := store.ForgetHistoryIDs(within(t), l.log, time.Now().Add(later)); err != nil {
			t.Fatal(err)
		}
		if later == time.Minute {
			equal(t, "in the stream after a minute", messages(), 4)
		}
	}
	equal(t, "in the stream after four", messages(), 2)
	r.close()
	r = openArchive(t, dir)
	l = r.listen(t, e)
	equal(t, "kept", tell(l.kept), "1:a=- 3:a=-")
	equal(t, "ids", len(l.ids), 0)
}

func bodiesOf(list []broker.HistoryRecord) []string {
	var all []string
	for _, r := range list {
		all = append(all, string(r.Message.Body))
	}
	return all
}
