package bench

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// floodOf runs a flood against a broker that gives everybody 2 s to send
// CONNECT, which is also enough for good clients on a busy machine.
func floodOf(t *testing.T, o *Flood) *Result {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the strangers come from addresses that only Linux has by itself")
	}
	s := newServer(t, broker.Options{ConnectDeadline: 2 * time.Second})
	c := brief(s.URL)
	c.Parallel = 4
	r, err := Run(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Flood; f == nil || f.Strangers != o.Strangers || f.Admitted+f.Refused+f.Failed != f.Strangers || f.Admitted == 0 || f.Most == 0 || f.Longest == 0 {
		t.Fatalf("%+v of %+v", r.Flood, r)
	}
	if r.Scenario != "flood" || r.Latency == nil || r.Count == 0 {
		t.Errorf("%+v", r)
	}
	return r
}

func TestFlood(t *testing.T) {
	r := floodOf(t, &Flood{Strangers: 40, Limit: time.Minute, Life: time.Minute})
	if r.Verdict != "PASS" || r.Flood.Failed != 0 {
		t.Errorf("%s %v, %+v", r.Verdict, r.Failures, r.Flood)
	}
	var table strings.Builder
	if err := r.Table(&table); err != nil || !strings.Contains(table.String(), "strangers") || !strings.Contains(table.String(), "40: ") {
		t.Errorf("%v\n%s", err, table.String())
	}
}

func TestFloodFails(t *testing.T) {
	r := floodOf(t, &Flood{Strangers: 40, Limit: 1, Most: 1, Life: time.Millisecond})
	all := strings.Join(r.Failures, "\n")
	for _, want := range []string{"a good client took ", " strangers at a time, more than 1", "a stranger stayed for "} {
		if r.Verdict != "FAIL" || !strings.Contains(all, want) {
			t.Errorf("%s, without %q:\n%s", r.Verdict, want, all)
		}
	}
}

func TestFloodOptions(t *testing.T) {
	for name, o := range map[string]*Flood{
		"strangers": {Strangers: -1}, "most": {Most: -1}, "limit": {Limit: -1}, "life": {Life: 2 * time.Hour},
	} {
		if _, err := Run(t.Context(), Config{Target: Target{URL: "ws://127.0.0.1:1/"}}, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Run(t.Context(), Config{Target: Target{URL: "ws://192.0.2.1/"}}, new(Flood)); err == nil || !strings.Contains(err.Error(), "127.0.0.0/8") {
		t.Errorf("a server elsewhere: %v", err)
	}
}
