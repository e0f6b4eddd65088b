package dedup

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

var roomy = Limits{IDs: 1 << 30, IDsPerOwner: 1 << 30}

// send accepts a message, or reports that it was accepted before.
func send(t *testing.T, w *Window, owner, id string, l Limits) (duplicate bool, err error) {
	t.Helper()
	first, earlier, err := w.Begin(KeyOf(owner, "/queue/a", id), owner, l)
	switch {
	case err != nil:
		return false, err
	case earlier != nil:
		outcome := errors.New("no outcome")
		earlier.Then(func(err error) { outcome = err })
		if outcome != nil {
			t.Errorf("the first attempt of %s ended with %v", id, outcome)
		}
		return true, nil
	}
	first.End(nil)
	return false, nil
}

// An id is remembered for two minutes at least and for a quarter more at most,
// whenever it comes, and then nothing is left of it.
func TestWindow(t *testing.T) {
	for _, at := range []time.Duration{0, time.Second, step - 1, step, 3*step + step/2} {
		synctest.Test(t, func(t *testing.T) {
			w := New()
			defer w.Close()
			_, _ = send(t, w, "ann", "the timer runs", roomy)
			time.Sleep(at)
			for _, x := range []struct {
				after     time.Duration
				duplicate bool
			}{{0, false}, {0, true}, {Length - 1, true}, {step + 1, false}} {
				time.Sleep(x.after)
				synctest.Wait()
				if got, err := send(t, w, "ann", "1", roomy); err != nil || got != x.duplicate {
					t.Errorf("begun at %v, after %v: a duplicate is %v, %v; want %v", at, x.after, got, err, x.duplicate)
				}
			}
			time.Sleep(Length + 2*step)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.ids != 0 || w.owners != nil || w.generations != nil || w.timer != nil {
				t.Errorf("%d ids, %d owners, %d generations are left", w.ids, len(w.owners), len(w.generations))
			}
		})
	}
}

// The window counts from the acceptance, not from the beginning of an attempt
// that takes long.
func TestWindowBeginsWithTheAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		first, _, _ := w.Begin(KeyOf("ann", "/queue/a", "1"), "ann", roomy)
		time.Sleep(Length + step/2)
		first.End(nil)
		time.Sleep(Length - 1)
		if duplicate, _ := send(t, w, "ann", "1", roomy); !duplicate {
			t.Error("it is forgotten")
		}
		if w.Len() != 1 {
			t.Errorf("%d ids, want 1", w.Len())
		}
	})
}

// A user, a destination and an id are one scope: none of them runs into the
// next.
func TestKey(t *testing.T) {
	seen := make(map[Key]string)
	for _, x := range [][3]string{
		{"ann", "/queue/a", "1"}, {"bob", "/queue/a", "1"}, {"ann", "/queue/b", "1"}, {"ann", "/queue/a", "2"},
		{"ann/queue", "/a", "1"}, {"ann", "/queue/", "a1"}, {"", "ann", "/queue/a1"}, {"ann/queue/a1", "", ""}, {},
		{"ann", "/queue/a", strings.Repeat("1", 300)}, {"ann", "/queue/a", strings.Repeat("1", 301)},
	} {
		k := KeyOf(x[0], x[1], x[2])
		if other, twice := seen[k]; twice {
			t.Errorf("%q has the key of %s", x, other)
		}
		seen[k] = fmt.Sprintf("%q", x)
	}
}

// Duplicates of an attempt that has not ended get its outcome. After a failure
// the id is free.
func TestDuplicatesGetTheOutcomeOfTheFirst(t *testing.T) {
	full := errors.New("full")
	for _, outcome := range []error{nil, full} {
		w := New()
		k := KeyOf("ann", "/queue/a", "1")
		first, _, _ := w.Begin(k, "ann", roomy)
		if !w.Known(k) {
			t.Error("an attempt is not known")
		}
		var got []error
		for range 3 {
			_, earlier, err := w.Begin(k, "ann", roomy)
			if err != nil || earlier != first {
				t.Fatalf("a second attempt: %v, %v", earlier, err)
			}
			earlier.Then(func(err error) { got = append(got, err) })
		}
		if len(got) != 0 {
			t.Error("there is an outcome before the end")
		}
		first.End(outcome)
		first.End(errors.New("too late"))
		first.Then(func(err error) { got = append(got, err) })
		if len(got) != 4 || got[0] != outcome || got[1] != outcome || got[2] != outcome || got[3] != outcome {
			t.Errorf("the outcomes are %v, want four times %v", got, outcome)
		}
		if want := outcome == nil; w.Known(k) != want {
			t.Errorf("after %v the id is known: %v", outcome, !want)
		}
		w.Close()
	}
}

// Beyond the limits an id is refused, and what was remembered stays. One user
// leaves room for the others.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		l := Limits{IDs: 5, IDsPerOwner: 2}
		refused := func(owner, id string, want *FullError) {
			t.Helper()
			_, err := send(t, w, owner, id, l)
			var full *FullError
			if !errors.As(err, &full) || *full != *want {
				t.Errorf("the error is %v, want %v", err, want)
			}
		}
		accepted := func(owner, id string) {
			t.Helper()
			if duplicate, err := send(t, w, owner, id, l); duplicate || err != nil {
				t.Errorf("%s of %q: a duplicate is %v, %v", id, owner, duplicate, err)
			}
		}
		accepted("ann", "1")
		accepted("ann", "2")
		refused("ann", "3", &FullError{2, true})
		accepted("bob", "1")
		accepted("", "1")
		accepted("", "2")
		refused("", "3", &FullError{5, false})
		refused("bob", "2", &FullError{5, false})
		if duplicate, err := send(t, w, "ann", "1", l); !duplicate || err != nil {
			t.Errorf("at the limit a duplicate is %v, %v", duplicate, err)
		}
		time.Sleep(Length + 2*step)
		synctest.Wait()
		accepted("ann", "3")
		accepted("ann", "4")
		refused("ann", "5", &FullError{2, true})
	})
}

// A refused message does not count.
func TestRefusedMessagesAreNotCounted(t *testing.T) {
	w := New()
	defer w.Close()
	for i := range 10 {
		first, _, err := w.Begin(KeyOf("ann", "/queue/a", fmt.Sprint(i)), "ann", Limits{1, 1})
		if err != nil {
			t.Fatal(err)
		}
		first.End(errors.New("full"))
	}
	if n := w.Len(); n != 0 {
		t.Errorf("%d ids are remembered", n)
	}
}

// Of many that send the same at once, exactly one is accepted, and all get the
// same outcome.
func TestConcurrentDuplicates(t *testing.T) {
	w := New()
	defer w.Close()
	const messages, senders = 200, 8
	var acceptances, outcomes atomic.Int64
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for i := range messages {
				first, earlier, err := w.Begin(KeyOf("ann", "/queue/a", fmt.Sprint(i)), "ann", roomy)
				switch {
				case err != nil:
					t.Error(err)
				case first != nil:
					runtime.Gosched()
					acceptances.Add(1)
					first.End(nil)
				default:
					earlier.Then(func(err error) {
						if err == nil {
							outcomes.Add(1)
						}
					})
				}
			}
		})
	}
	all.Wait()
	if a, o := acceptances.Load(), outcomes.Load(); a != messages || o != messages*(senders-1) {
		t.Errorf("%d accepted and %d outcomes, want %d and %d", a, o, messages, messages*(senders-1))
	}
}

// The worst case of [Cost]: every id of a user of its own.
func TestIDsHoldWhatIsDocumented(t *testing.T) {
	for _, n := range []int{1000, 15_000, 30_000} {
		w := New()
		before := testkit.Heap()
		for i := range n {
			if _, err := send(t, w, fmt.Sprint("user", i), "1", roomy); err != nil {
				t.Fatal(err)
			}
		}
		if each := float64(testkit.Heap()-before) / float64(n); each > Cost {
			t.Errorf("%d ids take %.0f bytes each, %d are documented", n, each, Cost)
		} else {
			t.Logf("%d ids: %.0f bytes each", n, each)
		}
		runtime.KeepAlive(w)
		w.Close()
	}
}

// What is remembered is known until its two minutes are over, counts in the
// limit, and does not replace what is known.
func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		for id, ago := range map[string]time.Duration{"now": 0, "ahead": -time.Hour, "old": Length - time.Second, "gone": Length} {
			w.Remember(KeyOf("", "", id), ago)
		}
		w.Remember(KeyOf("", "", "now"), time.Minute)
		if n := w.Len(); n != 3 {
			t.Errorf("%d ids are known", n)
		}
		if _, _, err := w.Begin(KeyOf("", "", "another"), "", Limits{3, 3}); err == nil {
			t.Error("there is room")
		}
		if _, earlier, err := w.Begin(KeyOf("", "", "old"), "ann", Limits{3, 3}); err != nil || earlier == nil || !earlier.Accepted() {
			t.Errorf("an old one: %v, %v", earlier, err)
		}
		time.Sleep(time.Second + 2*step)
		synctest.Wait()
		if w.Known(KeyOf("", "", "old")) || !w.Known(KeyOf("", "", "now")) {
			t.Error("the old one is known, or the new one is not")
		}
		time.Sleep(2 * Length)
		synctest.Wait()
		if n := w.Len(); n != 0 {
			t.Errorf("%d ids are left", n)
		}
	})
}
