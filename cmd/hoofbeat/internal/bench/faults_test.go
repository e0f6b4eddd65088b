package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// brief is a run that is over soon; it bounds how much is sent, not how fast. It
// waits for what is late on a machine that is busy with other things.
func brief(url string) Config {
	return Config{
		Target: Target{URL: url, Timeout: 20 * time.Second},
		Warmup: -1, Duration: 300 * time.Millisecond, Patience: time.Minute,
	}
}

// losing is the patience of a run against a server that loses messages, which
// ends when nothing has come for so long.
const losing = 3 * time.Second

// A server that does one thing wrong to one of the messages is found out, with
// the exact count.
func TestFaults(t *testing.T) {
	changed := func(m []byte, at int) []byte {
		m = bytes.Clone(m)
		m[len(m)-at] ^= 1
		return m
	}
	const body = 129 // with the NUL
	for _, c := range []struct {
		name  string
		fault func(m, next []byte) [][]byte
		want  Check
	}{
		{"none", func(m, next []byte) [][]byte { return [][]byte{m, next} }, Check{}},
		{"lost", func(_, next []byte) [][]byte { return [][]byte{next} }, Check{Lost: 1}},
		{"both lost", func(_, _ []byte) [][]byte { return nil }, Check{Lost: 2}},
		{"duplicated", func(m, next []byte) [][]byte { return [][]byte{m, next, m} }, Check{Duplicated: 1}},
		{"duplicated twice", func(m, next []byte) [][]byte { return [][]byte{m, m, next, next} }, Check{Duplicated: 2}},
		{"swapped", func(m, next []byte) [][]byte { return [][]byte{next, m} }, Check{Reordered: 1}},
		{"filling corrupted", func(m, next []byte) [][]byte { return [][]byte{changed(m, 2), next} }, Check{Corrupted: 1}},
		{"stamp corrupted", func(m, next []byte) [][]byte { return [][]byte{changed(m, body-10), next} }, Check{Corrupted: 1}},
		{"lost and corrupted", func(_, next []byte) [][]byte { return [][]byte{changed(next, 5)} }, Check{Lost: 1, Corrupted: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := runPastFault(t, 3, c.fault)
			got := *r.Check
			if got.Expected%3 != 0 {
				t.Fatalf("expected %d messages", got.Expected)
			}
			if received := got.Expected - got.Lost - got.Corrupted + got.Duplicated; got.Received != received {
				t.Errorf("received %d, want %d", got.Received, received)
			}
			got.Expected, got.Received = 0, 0
			if got != c.want {
				t.Errorf("got %v, want %v", &got, &c.want)
			}
			if clean := c.want == (Check{}); r.Passed() != clean || (r.Verdict == "PASS") != clean {
				t.Errorf("verdict %s, failures %q", r.Verdict, r.Failures)
			} else if !clean && !strings.Contains(strings.Join(r.Failures, "\n"), "lost") {
				t.Errorf("the failures do not say the counts: %q", r.Failures)
			}
		})
	}
}

// runPastFault runs a fan-out to subscribers against a server with a fault.
// On a busy machine a run can end before the fault: then it is too short, and a
// longer one follows.
func runPastFault(t *testing.T, subscribers int, fault func(m, next []byte) [][]byte) *Result {
	t.Helper()
	for duration := 300 * time.Millisecond; ; duration *= 4 {
		conf := brief(newStandIn(t, fault).url)
		conf.Duration, conf.Patience = duration, losing
		r, err := Run(t.Context(), conf, &Fanout{Subscribers: subscribers, Rate: 400})
		if err != nil {
			t.Fatal(err)
		}
		if r.Check.Expected > uint64(subscribers)*faultAt {
			return r
		}
		if duration > 10*time.Second {
			t.Fatalf("only %d messages in %v", r.Check.Expected, duration)
		}
	}
}

// What is meant for one topic and comes to another is misrouted there and lost
// here.
func TestMisrouted(t *testing.T) {
	t.Parallel()
	wrong := append([]byte("MESSAGE\ncontent-length:128\n\n"), make([]byte, stampSize)...)
	wrong = append(append(wrong, fillingOf(128)...), 0)
	stamp{run: 1, flow: 12345}.put(wrong[28:])
	r := runPastFault(t, 1, func(_, next []byte) [][]byte { return [][]byte{wrong, next} })
	if r.Check.Misrouted != 1 || r.Check.Lost != 1 || r.Check.Corrupted != 0 || r.Passed() {
		t.Errorf("%v", r.Check)
	}
}

// A server that sends ERROR and stays is as clear as one that closes.
func TestErrorWithoutClose(t *testing.T) {
	t.Parallel()
	s := newStandIn(t, nil)
	s.deny = true
	for _, scenario := range []Scenario{&Pairs{Pairs: 1}, &Receipts{Clients: 1}, &Connect{Cycle: true}} {
		c := brief(s.url)
		c.Warmup = 20 * time.Second // ends early
		r, err := Run(t.Context(), c, scenario)
		if err == nil || !strings.Contains(err.Error(), "server sent ERROR: not for you") {
			t.Errorf("%T: %+v, %v", scenario, r, err)
		}
	}
}

// A queue whose message comes to two consumers.
func TestQueueNoticesCopies(t *testing.T) {
	t.Parallel()
	s := newStandIn(t, func(m, next []byte) [][]byte { return [][]byte{m, next} })
	r, err := Run(t.Context(), brief(s.url), &Queues{Producers: 1, Consumers: 2, Rate: 400, Ack: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Check.Duplicated != r.Check.Expected || r.Check.Lost != 0 || r.Passed() {
		t.Errorf("%v", r.Check)
	}
}
