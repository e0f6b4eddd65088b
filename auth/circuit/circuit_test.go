package circuit

import (
	"testing"
	"time"
)

// The result of a request from before the circuit opened, or from before a
// probe, is ignored.
func TestLateReports(t *testing.T) {
	now := time.Unix(0, 0)
	var b Breaker
	refuses := func(at time.Time) bool {
		_, open := b.Open(at)
		return open
	}
	early, _, ok := b.Enter(now)
	if !ok {
		t.Fatal("open from the beginning")
	}
	for range Failures {
		e, _, _ := b.Enter(now)
		b.Report(e, false, now)
	}
	if c, _ := b.Report(early, true, now); c != Unchanged || !refuses(now) {
		t.Error("a late success closed the circuit")
	}
	if since, broken := b.Since(); !broken || !since.Equal(now) {
		t.Errorf("broken %v, since %v", broken, since)
	}
	b.Report(early, false, now.Add(FirstPause/2))
	if refuses(now.Add(FirstPause)) {
		t.Error("a late failure prolonged the pause")
	}
	probe, _, ok := b.Enter(now.Add(FirstPause))
	if !ok {
		t.Fatal("no probe after the pause")
	}
	if _, _, ok := b.Enter(now.Add(time.Hour)); ok {
		t.Error("two probes at once")
	}
	b.Report(early, false, now.Add(FirstPause))
	if c, since := b.Report(probe, true, now.Add(time.Minute)); c != Closed || !since.Equal(now) {
		t.Errorf("the probe changed %v, since %v", c, since)
	}
	if c, _ := b.Report(probe, true, now); c != Unchanged {
		t.Errorf("reported closed twice: %v", c)
	}
	if _, broken := b.Since(); broken {
		t.Error("still broken")
	}
}
