package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// Table writes the result in readable form.
func (r *Result) Table(w io.Writer) error {
	verdict := r.Verdict
	if r.Interrupted {
		verdict += " (interrupted)"
	}
	fmt.Fprintf(w, "%s %s  %s\n", r.Scenario, verdict, r.URL)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("load", "%s", r.load())
	if i := r.Idle; i != nil {
		row("opened", "in %s, %s a second", seconds(i.ConnectSeconds), count(r.PerSecond))
		row("held", "%s: %s received, %d heart-beats sent", seconds(r.Seconds), size(i.BytesReceived), i.HeartbeatsSent)
	} else {
		row(r.Unit, "%s in %s, %s a second", count(float64(r.Count)), seconds(r.Seconds), count(r.PerSecond))
	}
	if r.SentPerSecond > 0 {
		row("sent", "%s a second", count(r.SentPerSecond))
	}
	latency := func(name string, l *Latency) {
		if l != nil {
			row(name, "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max))
		}
	}
	latency("latency", r.Latency)
	latency("generator lag", r.GeneratorLag)
	if s := r.Server; s != nil {
		row("server", "%s", r.serverLine(s))
	}
	row("generator", "%s", r.generatorLine())
	if s := r.Stalled; s != nil {
		text := fmt.Sprintf("%d, disconnected %d, received %d", s.Subscribers, s.Ended, s.Received)
		if s.Reason != "" {
			text += ": " + s.Reason
		}
		row("stalled", "%s", text)
	}
	if c := r.History; c != nil {
		c.rows(r.Server != nil, row)
	}
	if p := r.Replay; p != nil {
		row("one client", "%d messages, %d times: %s a second, live %s a second", p.Messages, p.Rounds, count(p.PerSecond), count(p.LivePerSecond))
		row("ratio", "replay of live %s", p.Ratio)
	}
	if c := r.Comeback; c != nil {
		row("comeback", "%d clients, each %d messages behind: connected after %s, all live after %s, %s a second", c.Clients, c.Behind, seconds(c.ConnectSeconds), seconds(c.LiveSeconds), count(c.PerSecond))
		if c.RSSPeak > 0 {
			row("", "server memory before %s, peak %s", size(c.RSSBefore), size(c.RSSPeak))
		}
	}
	if f := r.Flood; f != nil {
		row("strangers", "%d: %d admitted, %d refused, %d failed; at most %d at a time, the longest for %s", f.Strangers, f.Admitted, f.Refused, f.Failed, f.Most, seconds(f.Longest))
	}
	if c := r.Check; c != nil {
		row("check", "%s", c)
	}
	for _, f := range r.Failures {
		row("FAIL", "%s", f)
	}
	for _, n := range r.Notes {
		row("note", "%s", n)
	}
	return t.Flush()
}

// load describes the load in words.
func (r *Result) load() string {
	var parts []string
	part := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	part(r.Publishers, "publisher", "publishers")
	part(r.Subscribers, "subscriber", "subscribers")
	if len(parts) == 0 {
		part(r.Connections, "connection", "connections")
	}
	if r.Size > 0 {
		parts = append(parts, fmt.Sprintf("%d bytes", r.Size))
	}
	if r.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%s messages a second", count(r.Rate)))
	}
	if r.Window > 0 {
		parts = append(parts, fmt.Sprintf("%d in flight", r.Window))
	}
	return strings.Join(parts, ", ")
}

func (r *Result) serverLine(s *Server) string {
	text := fmt.Sprintf("CPU %s", seconds(s.CPU))
	if s.CPUPerMillion > 0 {
		text += fmt.Sprintf(" (%.3f s per million)", s.CPUPerMillion)
	}
	text += fmt.Sprintf(", memory %s, before %s, peak %s", size(s.RSSAfter), size(s.RSSBefore), size(s.RSSPeak))
	if i := r.Idle; i != nil {
		text += fmt.Sprintf("; per connection %s, and %.3f ms to open it", size(int64(i.RSSPerConnection)), i.CPUPerConnect)
	}
	return text
}

func (r *Result) generatorLine() string {
	text := fmt.Sprintf("CPU %s", seconds(r.GeneratorCPU))
	if r.GeneratorCPUPerMillion > 0 {
		text += fmt.Sprintf(" (%.3f s per million)", r.GeneratorCPUPerMillion)
	}
	if r.MessagesPerRead > 0 {
		text += fmt.Sprintf(", %.1f messages per read, %.0f bytes per message", r.MessagesPerRead, r.BytesPerMessage)
	}
	return text
}

// count formats a number with three significant digits.
func count(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f G", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2f M", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", n/1e3)
	case n == math.Trunc(n):
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }

// short formats milliseconds in a suitable unit.
func short(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 1:
		return fmt.Sprintf("%.2f ms", ms)
	}
	return fmt.Sprintf("%.0f µs", ms*1000)
}
