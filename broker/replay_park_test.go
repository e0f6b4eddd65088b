package broker

import (
	"testing"
	"testing/synctest"
)

// A replay that waits for the messages of its filter resumes, also if too much
// waits in another filter of the session when they have been judged.
func TestParkedReplayResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		s := &session{b: b}
		s.out.s = s
		own, other := newFilter(&subscriber{s: s}, false), newFilter(&subscriber{s: s}, false)
		own.sub.filter.Store(own)
		small := &match{f: own, m: &Message{Destination: "/topic/a"}}
		large := &match{f: other, m: &Message{Destination: "/topic/b", Body: make([]byte, b.policy.Load().limits.Outbox/3)}}
		r := &replay{b: b, sub: own.sub, started: true, running: true} // so that Resume only notes it
		j := own.j
		wait := func(f *filter, m *match) {
			j.mu.Lock()
			f.waiting = append(f.waiting, m)
			j.bytes += messageSize(m.m)
			j.mu.Unlock()
		}
		judged := func(f *filter, m *match) {
			j.mu.Lock()
			m.verdict = refused
			f.release(nil)
			j.mu.Unlock()
			synctest.Wait()
		}
		wait(own, small)
		if !own.park(r) {
			t.Fatal("the replay does not wait")
		}
		wait(other, large)
		judged(own, small)
		if r.again {
			t.Error("the replay resumes while too much waits")
		}
		judged(other, large)
		if !r.again {
			t.Error("nothing waits, and the replay has not resumed")
		}
	})
}
