package bench

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// keeping is a server that keeps some messages of each topic of the benchmarks.
func keeping(messages int) broker.Options {
	return broker.Options{History: []broker.History{{Destination: keptPrefix + "/**", Messages: messages}}}
}

// The two topics take turns, and both ratios are in the result.
func TestHistoryBesideNone(t *testing.T) {
	t.Parallel()
	c := brief(newServer(t, keeping(100)).URL)
	c.Warmup = 50 * time.Millisecond
	if runtime.GOOS == "linux" {
		c.ServerPID = os.Getpid()
	}
	for c.Duration = time.Second; ; c.Duration *= 2 {
		r, err := Run(t.Context(), c, &History{Subscribers: 3, Window: 16})
		if err != nil || !r.Passed() {
			t.Fatalf("%+v, %v", r, err)
		}
		h := r.History
		if h == nil || c.ServerPID != 0 && h.ServerCPU == nil {
			if c.Duration < time.Minute { // a busy machine
				continue
			}
			t.Fatalf("nothing was compared: %+v", r)
		}
		if h.Plain.Count+h.Kept.Count != r.Count || h.Throughput.Ratio <= 0 || h.Throughput.Lowest > h.Throughput.Ratio || h.Throughput.Highest < h.Throughput.Ratio {
			t.Errorf("%+v", h)
		}
		var text strings.Builder
		if err := r.Table(&text); err != nil || !strings.Contains(text.String(), "throughput ") || c.ServerPID != 0 && !strings.Contains(text.String(), "server CPU per delivery "+h.ServerCPU.String()) {
			t.Errorf("%v in %s", err, text.String())
		}
		return
	}
}

func TestCompare(t *testing.T) {
	c := compare([][2]turn{
		{{count: 1000, seconds: 1, cpu: 0.1}, {count: 900, seconds: 1, cpu: 0.1}},
		{{count: 3000, seconds: 1, cpu: 0.3}, {count: 3300, seconds: 1, cpu: 0.4}},
	})
	if want := (Ratio{1.05, 0.9, 1.1}); c.Throughput != want {
		t.Errorf("throughput %+v, want %+v", c.Throughput, want)
	}
	if want := (Ratio{1.19, 1.111, 1.212}); c.ServerCPU == nil || *c.ServerCPU != want {
		t.Errorf("CPU %+v, want %+v", c.ServerCPU, want)
	}
	if c.Plain.PerSecond != 2000 || c.Kept.PerSecond != 2100 || c.Plain.CPUPerMillion != 100 {
		t.Errorf("%+v", c)
	}
	c = compare([][2]turn{{{count: 1, seconds: 1}, {count: 1, seconds: 1}}})
	var rows []string
	c.rows(false, func(_, format string, _ ...any) { rows = append(rows, format) })
	if c.ServerCPU != nil || !slices.Contains(rows, "server CPU per delivery not measured: it needs --server-pid") {
		t.Errorf("%+v, %q", c, rows)
	}
	if compare([][2]turn{{{count: 1, seconds: 1}, {}}}) != nil || compare(nil) != nil {
		t.Error("compared with nothing")
	}
}

// One client and then many come back, and each gets what it missed.
func TestReplay(t *testing.T) {
	s := newServer(t, keeping(500))
	for transport, url := range map[string]string{"WebSocket": s.URL, "TCP": "tcp://" + s.TCP} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			c := brief(url)
			if runtime.GOOS == "linux" {
				c.ServerPID = os.Getpid()
			}
			r, err := Run(t.Context(), c, &Replay{Messages: 400, Rounds: 2, Clients: 10, Behind: 100})
			if err != nil || !r.Passed() {
				t.Fatalf("%+v, %v", r, err)
			}
			one, many := r.Replay, r.Comeback
			if one == nil || r.Count != 800 || one.PerSecond <= 0 || one.LivePerSecond <= 0 || one.Ratio.Lowest > one.Ratio.Ratio || one.Ratio.Highest < one.Ratio.Ratio {
				t.Errorf("one client: %+v", one)
			}
			if many == nil || many.Count != 1000 || many.LiveSeconds <= 0 || many.LiveSeconds < many.ConnectSeconds || c.ServerPID != 0 && many.RSSPeak < many.RSSBefore {
				t.Errorf("many clients: %+v", many)
			}
			if n := r.Check; n.Expected < 2*2*400+11*100 || n.Received != n.Expected {
				t.Errorf("%v", n)
			}
			var text strings.Builder
			if err := r.Table(&text); err != nil || !strings.Contains(text.String(), "replay of live ") || !strings.Contains(text.String(), "10 clients, each 100 messages behind") {
				t.Errorf("%v in %s", err, text.String())
			}
		})
	}
}

// What is missing in the server's configuration is named with its keys.
func TestHistoryIsMissing(t *testing.T) {
	none, short := newServer(t, broker.Options{}), newServer(t, keeping(50))
	for _, c := range []struct {
		url         string
		destination string
		scenario    Scenario
		says        string
	}{
		{none.URL, "", &History{Subscribers: 1}, `history: [{destination: "/topic/bench-history/**", messages: 100}]`},
		{none.URL, "", &Replay{Messages: 70, Clients: -1}, `history: [{destination: "/topic/bench-history/**", messages: 70}]`},
		{short.URL, "", &Replay{Messages: 70, Clients: -1}, "must keep 70 messages. Raise history[].messages, and history[].bytes"},
		{short.URL, "", &Replay{Messages: -1, Clients: 3, Behind: 60}, "must keep 60 messages. Raise history[].messages, and history[].bytes"},
		{short.URL, keptPrefix + "/other", &History{Subscribers: 1}, "has a history, too"},
		{short.URL, "", &Replay{Messages: -1, Clients: -1}, "neither messages nor clients"},
	} {
		conf := brief(c.url)
		conf.Destination = c.destination
		if _, err := Run(t.Context(), conf, c.scenario); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %s", err, c.says)
		}
	}
}
