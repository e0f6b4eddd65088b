package bench

import (
	"context"
	"fmt"
	"time"
)

// History is the cost of a history: a fan-out to a topic with a history beside
// one to a topic without, in one run. They take turns, so that both meet the
// same machine.
type History struct {
	// Subscribers is the number of subscribers of each topic. Default 100.
	Subscribers int
	// Window is the number of messages in flight. Default 32768 divided by the
	// subscribers, but at least 16 and at most 1024.
	Window int
	// Kept begins the destination with a history; Config.Destination begins the
	// other one. The server must have a history for Kept/**. Default
	// /topic/bench-history.
	Kept string
}

// keptPrefix is the default of History.Kept, and Config.Destination of Replay.
const keptPrefix = "/topic/bench-history"

// turnLength is about how long one side sends before the other one does: long
// compared to the 10 ms in which the system counts CPU time.
const turnLength = time.Second

func (h *History) prepare(c *Config) (int, error) {
	err := positive("subscribers", &h.Subscribers, 100)
	if err != nil {
		return 0, err
	}
	if c.Destination == "" {
		c.Destination = "/topic/bench"
	}
	if h.Kept == "" {
		h.Kept = keptPrefix
	}
	return 2 * (h.Subscribers + 1), positive("window", &h.Window, fanoutWindow(h.Subscribers))
}

func (h *History) measure(ctx context.Context, r *run) error {
	t := newTraffic(r, 0)
	for i, name := range []string{r.destination(), r.kept(h.Kept)} {
		l := newLane(h.Window, h.Subscribers)
		t.flow(i, name, l, h.Subscribers)
		for range h.Subscribers {
			t.subscriber(name, l, uint32(i), make([]tally, 1))
		}
	}
	t.describe("history", 2*h.Subscribers, 2, h.Window)
	if err := t.connectAll(ctx); err != nil {
		return err
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	if s := t.subscribers[0]; s.offset.Load() != nil {
		return fmt.Errorf("%s has a history, too: choose a --destination that no entry of the server's history matches", s.destination)
	}
	if err := t.subscribers[h.Subscribers].mustBeKept(h.Kept, 100); err != nil {
		return err
	}
	r.result.memoryBefore(r.ServerPID)
	if r.Warmup > 0 {
		r.Progress.phase("warming up", 0)
		for i := range 2 {
			t.turn(ctx, i, r.Warmup/2)
		}
	}
	t.rounds(ctx)
	idle := make(chan struct{})
	close(idle)
	t.drain(idle)
	t.verify(ctx)
	return nil
}

// rounds measures the turns of both sides. The order changes with each round.
func (t *traffic) rounds(ctx context.Context) {
	n := max(2, int(t.Duration/(2*turnLength)))
	length := t.Duration / time.Duration(2*n)
	t.Progress.phase("measuring", 2*n)
	t.measuring(true)
	defer t.measuring(false)
	m, before := startMeter(t.ServerPID), t.arrived()
	var rounds [][2]turn
	for i := range n {
		var both [2]turn
		for j := range 2 {
			side := (i + j) % 2
			both[side] = t.turn(ctx, side, length)
			m.sample()
			t.Progress.add(1)
		}
		if ctx.Err() != nil || t.failure() != nil {
			break // of this round something is missing
		}
		rounds = append(rounds, both)
	}
	m.stop(t.result, t.arrived()-before)
	if t.result.History = compare(rounds); t.result.History == nil && ctx.Err() == nil && t.failure() == nil {
		t.result.Notes = append(t.result.Notes, "too little arrived to compare: measure longer")
	}
}

// turn lets one publisher send for a while and waits for what it has sent.
func (t *traffic) turn(ctx context.Context, number int, d time.Duration) turn {
	stop, sent := make(chan struct{}), make(chan struct{})
	before, cpu, start := t.arrived(), t.serverCPU(), time.Now()
	t.tasks.Go(func() {
		t.publish(t.publishers[number], never, stop)
		close(sent)
	})
	t.wait(ctx, d)
	close(stop)
	t.complete(sent)
	return turn{t.arrived() - before, time.Since(start).Seconds(), t.serverCPU() - cpu}
}

// serverCPU returns the CPU seconds of the server, 0 if they are not measured.
func (r *run) serverCPU() float64 {
	if r.ServerPID == 0 {
		return 0
	}
	return processUsage(r.ServerPID).cpu
}

// measuring switches the measurement of latencies on or off.
func (t *traffic) measuring(on bool) {
	for _, p := range t.places {
		p.mu.Lock()
		p.measuring = on
		p.mu.Unlock()
	}
}

// kept returns a destination with a history that only this run uses.
func (r *run) kept(prefix string) string { return prefix + "/" + r.name }

// mustBeKept returns an error if the topic of a subscriber that has got a probe
// has no history.
func (s *subscriber) mustBeKept(prefix string, messages int) error {
	if s.offset.Load() != nil {
		return nil
	}
	return fmt.Errorf("%s has no history: its messages have no offset header. The server needs an entry of history, such as\n  history: [{destination: %q, messages: %d}]", s.destination, prefix+"/**", messages)
}
