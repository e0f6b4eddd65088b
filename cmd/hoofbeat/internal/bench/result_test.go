package bench

import (
	"bytes"
	"encoding/json"
	"testing"
)

func full() *Result {
	return &Result{
		Scenario: "fanout", URL: "ws://127.0.0.1:8080/ws", Connections: 101, Subscribers: 100, Publishers: 1,
		Size: 128, Window: 327, Seconds: 5.004, Count: 27_512_345, Unit: "deliveries", PerSecond: 5_498_070.5, SentPerSecond: 54_980.7,
		Latency:         &Latency{Count: 27_512_345, Mean: 6, P50: 0.4, P90: 9.5, P99: 20.25, P999: 31, Max: 1500},
		MessagesPerRead: 190.2, BytesPerMessage: 230.4,
		GeneratorCPU: 3.9, GeneratorCPUPerMillion: 0.142,
		Server: &Server{CPU: 4.2, CPUPerMillion: 0.153, RSSBefore: 20 << 20, RSSAfter: 30 << 20, RSSPeak: 31 << 20},
		Check:  &Check{Expected: 30_000_000, Received: 30_000_000},
	}
}

func TestTable(t *testing.T) {
	failed := full()
	failed.Scenario, failed.Interrupted, failed.Window, failed.Rate = "slow", true, 0, 60_000
	failed.Server.Others = 30
	failed.Check.Lost, failed.Check.Received = 2, 29_999_998
	failed.Stalled = &Stalled{Subscribers: 2, Ended: 1, Received: 7, Reason: "the server reset it"}
	failed.fail("connection 3 ended: the server closed it")
	idle := &Result{
		Scenario: "idle", URL: "tcp://127.0.0.1:61613", Connections: 5000, Seconds: 10, Count: 5000, Unit: "connections", PerSecond: 3500.5,
		Latency: &Latency{Count: 5000, P50: 5, P90: 6, P99: 7, P999: 8, Max: 9},
		Server:  &Server{CPU: 0.1, RSSBefore: 20 << 20, RSSAfter: 50 << 20, RSSPeak: 50 << 20},
		Idle:    &IdleCost{ConnectSeconds: 1.43, HeartbeatsSent: 5000, BytesReceived: 5000, CPUPercent: 1, CPUPerConnect: 0.15, RSSPerConnection: 6291.5},
	}
	for _, c := range []struct {
		name string
		r    *Result
		want string
	}{
		{"passed", full(), `fanout PASS  ws://127.0.0.1:8080/ws
  load        1 publisher, 100 subscribers, 128 bytes, 327 in flight
  deliveries  27.51 M in 5.00 s, 5.50 M a second
  sent        55.0 k a second
  latency     p50 400 µs  p90 9.50 ms  p99 20.25 ms  p99.9 31.00 ms  max 1.50 s
  server      CPU 4.20 s (0.153 s per million), memory 30.0 MiB, before 20.0 MiB, peak 31.0 MiB
  generator   CPU 3.90 s (0.142 s per million), 190.2 messages per read, 230 bytes per message
  check       expected 30000000, received 30000000: lost 0, duplicated 0, reordered 0, corrupted 0, misrouted 0
`},
		{"failed", failed, `slow FAIL (interrupted)  ws://127.0.0.1:8080/ws
  load        1 publisher, 100 subscribers, 128 bytes, 60.0 k messages a second
  deliveries  27.51 M in 5.00 s, 5.50 M a second
  sent        55.0 k a second
  latency     p50 400 µs  p90 9.50 ms  p99 20.25 ms  p99.9 31.00 ms  max 1.50 s
  server      CPU 4.20 s (0.153 s per million), memory 30.0 MiB, before 20.0 MiB, peak 31.0 MiB
  generator   CPU 3.90 s (0.142 s per million), 190.2 messages per read, 230 bytes per message
  stalled     2, disconnected 1, received 7: the server reset it
  check       expected 30000000, received 29999998: lost 2, duplicated 0, reordered 0, corrupted 0, misrouted 0
  FAIL        expected 30000000, received 29999998: lost 2, duplicated 0, reordered 0, corrupted 0, misrouted 0
  FAIL        connection 3 ended: the server closed it
  note        other processes used 30 % of the machine: measure again
`},
		{"idle", idle, `idle PASS  tcp://127.0.0.1:61613
  load       5000 connections
  opened     in 1.43 s, 3500.5 a second
  held       10.00 s: 4.9 KiB received, 5000 heart-beats sent
  latency    p50 5.00 ms  p90 6.00 ms  p99 7.00 ms  p99.9 8.00 ms  max 9.00 ms
  server     CPU 0.10 s, memory 50.0 MiB, before 20.0 MiB, peak 50.0 MiB; per connection 6.1 KiB, and 0.150 ms to open it
  generator  CPU 0.00 s
`},
	} {
		c.r.finish()
		var b bytes.Buffer
		if err := c.r.Table(&b); err != nil || b.String() != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.name, err, b.String(), c.want)
		}
	}
}

// Scripts rely on these names.
func TestJSON(t *testing.T) {
	r := full()
	r.finish()
	got, err := json.Marshal(r)
	const want = `{"scenario":"fanout","verdict":"PASS","url":"ws://127.0.0.1:8080/ws","connections":101,"subscribers":100,"publishers":1,` +
		`"size":128,"window":327,"seconds":5.004,"count":27512345,"unit":"deliveries","per_second":5498070.5,"sent_per_second":54980.7,` +
		`"latency":{"count":27512345,"mean_ms":6,"p50_ms":0.4,"p90_ms":9.5,"p99_ms":20.25,"p999_ms":31,"max_ms":1500},` +
		`"messages_per_read":190.2,"bytes_per_message":230.4,"generator_cpu_seconds":3.9,"generator_cpu_seconds_per_million":0.142,` +
		`"server":{"cpu_seconds":4.2,"cpu_seconds_per_million":0.153,"others_cpu_percent":0,"rss_bytes_before":20971520,"rss_bytes_after":31457280,"rss_bytes_peak":32505856},` +
		`"check":{"expected":30000000,"received":30000000,"lost":0,"duplicated":0,"reordered":0,"corrupted":0,"misrouted":0}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

// Numbers that are worth little say so.
func TestNotes(t *testing.T) {
	for _, c := range []struct {
		change func(*Result)
		note   string
		passed bool
	}{
		{func(r *Result) { r.Rate = 1e6 }, "only 55.0 k of 1.00 M messages a second were sent: generator or server could not keep up", true},
		{func(r *Result) { r.Seconds = 0 }, "nothing was measured: the run ended before its warm-up was over", true},
		{func(r *Result) { r.Count = 0 }, "nothing arrived in the measured time, only before or after", true},
		{func(r *Result) { r.Count, r.Check = 0, nil }, "", false},
	} {
		r := full()
		c.change(r)
		r.finish()
		if r.Passed() != c.passed || c.note != "" && (len(r.Notes) != 1 || r.Notes[0] != c.note) {
			t.Errorf("failures %q, notes %q, want %q", r.Failures, r.Notes, c.note)
		}
	}
}
