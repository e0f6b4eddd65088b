package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"syscall"
	"time"
)

// Result holds the measurements of a run. The JSON names are stable; fields
// that do not apply to a scenario are omitted.
type Result struct {
	Scenario    string `json:"scenario"`
	Verdict     string `json:"verdict"` // PASS or FAIL
	Interrupted bool   `json:"interrupted,omitempty"`
	// Failures lists what went wrong, one line each.
	Failures []string `json:"failures,omitempty"`
	// Notes qualify the numbers.
	Notes []string `json:"notes,omitempty"`

	URL         string  `json:"url"` // without its query
	Connections int     `json:"connections"`
	Subscribers int     `json:"subscribers,omitempty"`
	Publishers  int     `json:"publishers,omitempty"`
	Size        int     `json:"size,omitempty"` // of a body, in bytes
	Rate        float64 `json:"rate,omitempty"` // requested, in messages a second
	Window      int     `json:"window,omitempty"`

	Seconds float64 `json:"seconds"` // measured time
	// Count is the number of operations behind PerSecond: deliveries, receipts,
	// connections or cycles.
	Count           int64    `json:"count"`
	Unit            string   `json:"unit"`
	PerSecond       float64  `json:"per_second"`
	SentPerSecond   float64  `json:"sent_per_second,omitempty"`
	Latency         *Latency `json:"latency,omitempty"`
	GeneratorLag    *Latency `json:"generator_lag,omitempty"`
	MessagesPerRead float64  `json:"messages_per_read,omitempty"`
	BytesPerMessage float64  `json:"bytes_per_message,omitempty"` // received over the network

	GeneratorCPU           float64   `json:"generator_cpu_seconds"`
	GeneratorCPUPerMillion float64   `json:"generator_cpu_seconds_per_million,omitempty"`
	Server                 *Server   `json:"server,omitempty"`
	Check                  *Check    `json:"check,omitempty"`
	Stalled                *Stalled  `json:"stalled,omitempty"`
	Idle                   *IdleCost `json:"idle,omitempty"`
	Flood                  *Flooded  `json:"flood,omitempty"`
	History                *Compared `json:"history,omitempty"`
	Replay                 *Replayed `json:"replay,omitempty"`
	Comeback               *Comeback `json:"comeback,omitempty"`
}

// Latency is a distribution of times, in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// Server is the resource usage of the server's process during the measurement.
type Server struct {
	CPU           float64 `json:"cpu_seconds"`
	CPUPerMillion float64 `json:"cpu_seconds_per_million,omitempty"` // of Result.Count
	// Others is the share of the machine's CPU time that other processes than
	// server and generator used, in percent.
	Others    float64 `json:"others_cpu_percent"`
	RSSBefore int64   `json:"rss_bytes_before"`
	RSSAfter  int64   `json:"rss_bytes_after"`
	RSSPeak   int64   `json:"rss_bytes_peak"`
}

// Check reports whether everything arrived correctly. Each number counts
// messages, or receipts in the scenario receipts.
type Check struct {
	Expected   uint64 `json:"expected"`
	Received   uint64 `json:"received"`   // includes duplicates, but not corrupted ones
	Lost       uint64 `json:"lost"`       // never arrived
	Duplicated uint64 `json:"duplicated"` // arrived again
	Reordered  uint64 `json:"reordered"`  // arrived after a later one of the same sender
	Corrupted  uint64 `json:"corrupted"`  // arrived with a changed body
	Misrouted  uint64 `json:"misrouted"`  // arrived at the wrong subscriber
}

func (c *Check) add(o *Check) {
	c.Received += o.Received
	c.Duplicated += o.Duplicated
	c.Reordered += o.Reordered
	c.Corrupted += o.Corrupted
	c.Misrouted += o.Misrouted
}

func (c *Check) String() string {
	return fmt.Sprintf("expected %d, received %d: lost %d, duplicated %d, reordered %d, corrupted %d, misrouted %d",
		c.Expected, c.Received, c.Lost, c.Duplicated, c.Reordered, c.Corrupted, c.Misrouted)
}

// Stalled describes the subscribers that stopped reading.
type Stalled struct {
	Subscribers int    `json:"subscribers"`
	Ended       int    `json:"ended"`            // disconnected by the server
	Received    uint64 `json:"received"`         // by all of them, before and after they resumed reading
	Reason      string `json:"reason,omitempty"` // the server's, if it could be read
}

// IdleCost is the cost of connections without messages.
type IdleCost struct {
	ConnectSeconds   float64 `json:"connect_seconds"`              // until all were open
	HeartbeatsSent   int64   `json:"heartbeats_sent"`              // in the measured time, by all
	BytesReceived    int64   `json:"bytes_received"`               // in the measured time, by all
	CPUPercent       float64 `json:"server_cpu_percent,omitempty"` // of one core, while idle
	CPUPerConnect    float64 `json:"server_cpu_ms_per_connect,omitempty"`
	RSSPerConnection float64 `json:"server_rss_bytes_per_connection,omitempty"`
}

// Flooded describes the strangers, clients that never send CONNECT.
type Flooded struct {
	Strangers int     `json:"strangers"`
	Admitted  int     `json:"admitted"`
	Refused   int     `json:"refused"`         // with HTTP status 429
	Failed    int     `json:"failed"`          // for any other reason
	Most      int     `json:"most_at_a_time"`  // of the admitted ones
	Longest   float64 `json:"longest_seconds"` // that one of them stayed connected
}

// Passed reports whether the run found no failures.
func (r *Result) Passed() bool { return len(r.Failures) == 0 }

func (r *Result) fail(text string) { r.Failures = append(r.Failures, text) }

// finish sets the verdict.
func (r *Result) finish() {
	if c := r.Check; c != nil && (c.Lost != 0 || c.Duplicated != 0 || c.Reordered != 0 || c.Corrupted != 0 || c.Misrouted != 0) {
		r.Failures = append([]string{c.String()}, r.Failures...)
	}
	if s := r.Server; s != nil && s.Others > 15 {
		r.Notes = append(r.Notes, fmt.Sprintf("other processes used %.0f %% of the machine: measure again", s.Others))
	}
	if r.Rate > 0 && r.Seconds > 0 && !r.Interrupted && r.SentPerSecond < 0.98*r.Rate {
		r.Notes = append(r.Notes, fmt.Sprintf("only %s of %s messages a second were sent: generator or server could not keep up", count(r.SentPerSecond), count(r.Rate)))
	}
	if r.Seconds == 0 {
		r.Notes = append(r.Notes, "nothing was measured: the run ended before its warm-up was over")
	} else if r.Count == 0 && r.Passed() && !r.Interrupted {
		if r.Check == nil || r.Check.Received == 0 {
			r.fail("nothing arrived in the measured time")
		} else {
			r.Notes = append(r.Notes, "nothing arrived in the measured time, only before or after")
		}
	}
	r.Verdict = "PASS"
	if !r.Passed() {
		r.Verdict = "FAIL"
	}
}

// plain describes in words how a connection ended.
func plain(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the server closed it")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the server reset it")
	}
	return err
}

func milliseconds(d time.Duration) float64 { return round(float64(d) / 1e6) }

// round rounds to three decimals.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

func perSecond(n int64, seconds float64) float64 {
	if seconds == 0 {
		return 0
	}
	return round(float64(n) / seconds)
}
