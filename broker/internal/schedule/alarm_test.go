package schedule

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The alarm rings when the first item is due, not before, for one that comes
// later and is due earlier too, and not while it rings or when it is closed.
func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := func() int64 { return time.Now().UnixMilli() }
		s := New[string, int](roomy)
		var mu sync.Mutex
		var rung []time.Duration
		began := time.Now()
		a := NewAlarm(s.Next, now, func() bool {
			mu.Lock()
			defer mu.Unlock()
			rung = append(rung, time.Since(began))
			return true
		})
		wait := func(id string, in time.Duration) {
			it := &testItem{ID: id, Due: time.Now().Add(in).UnixMilli()}
			if err := s.Reserve(it); err != nil {
				t.Fatal(err)
			}
			s.Wait(it, it.Due)
			a.Set()
		}
		want := func(list ...time.Duration) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(rung) != len(list) || len(list) > 0 && rung[len(rung)-1] != list[len(list)-1] {
				t.Fatalf("it rang at %v, want %v", rung, list)
			}
		}
		wait("days", 50*time.Hour)
		wait("first", 3*time.Second)
		wait("earlier", time.Second)
		time.Sleep(time.Second - time.Millisecond)
		want()
		time.Sleep(time.Millisecond)
		want(time.Second)
		time.Sleep(5 * time.Second) // it rings
		want(time.Second)
		for _, it := range s.Due(now(), 9) {
			s.Remove(it)
		}
		a.Done()
		for _, day := range []time.Duration{24, 48} { // it looks daily
			time.Sleep(24 * time.Hour)
			want(time.Second, 6*time.Second+day*time.Hour)
			mu.Lock()
			rung = rung[:1]
			mu.Unlock()
			a.Done()
		}
		time.Sleep(2*time.Hour - 7*time.Second)
		want(time.Second)
		time.Sleep(time.Second)
		want(time.Second, 50*time.Hour)
		a.Done()
		time.Sleep(time.Millisecond) // it was not done
		want(time.Second, 50*time.Hour, 50*time.Hour)
		a.Close()
		a.Done()
		wait("late", 0)
		time.Sleep(time.Hour)
		want(time.Second, 50*time.Hour, 50*time.Hour)
	})
}

// What is restored waits although there is no room for it, and counts. What is
// taken counts and waits no more.
func TestRestoreAndTake(t *testing.T) {
	s := New[string, int](Limits{1, 1, 10, 10})
	for _, id := range []string{"1", "2"} {
		if !s.Restore(&testItem{ID: id, Due: 5, Owner: "ann", Size: 20}) {
			t.Fatalf("%s is not restored", id)
		}
	}
	if s.Restore(&testItem{ID: "1"}) {
		t.Error("an ID is restored twice")
	}
	if err := s.Reserve(&testItem{ID: "3"}); err == nil {
		t.Error("there is room")
	}
	it := s.Take("2")
	if it == nil || s.Take("2") != nil || s.Take("3") != nil {
		t.Errorf("taken is %v", it)
	}
	if items, bytes := s.Stats(); items != 2 || bytes != 40 {
		t.Errorf("%d items of %d bytes", items, bytes)
	}
	if got := ids(s.Due(5, 9)); len(got) != 1 || got[0] != "1" {
		t.Errorf("due are %v", got)
	}
	s.Remove(it)
	if items, bytes := s.Stats(); items != 1 || bytes != 20 {
		t.Errorf("%d items of %d bytes", items, bytes)
	}
}
