package bench

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// Replay is clients that come back to a topic with a history and get what they
// missed. First one client gets many messages, in each of some rounds, and the
// rate is compared to that at which a subscriber got them live. Then many
// clients come back at once.
//
// The server must have a history for Config.Destination/**, which is
// /topic/bench-history by default, with as many messages.
type Replay struct {
	// Messages is how many one client gets. Default 100000; negative skips this
	// part.
	Messages int
	// Rounds is how often it does so. Default 3.
	Rounds int
	// Clients is how many come back at once. Default 1000; negative skips this
	// part.
	Clients int
	// Behind is how many messages each of them has missed. Default 1000.
	Behind int
	// Window is the number of live messages in flight. Default 1024.
	Window int
}

// Replayed is what one client missed, beside what a subscriber got live.
type Replayed struct {
	Messages      int     `json:"messages"` // in each round
	Rounds        int     `json:"rounds"`
	LivePerSecond float64 `json:"live_per_second"`
	PerSecond     float64 `json:"per_second"`
	// Ratio is the rate of the replay divided by the live rate.
	Ratio Ratio `json:"of_live"`
}

// Comeback is many clients that came back at once. All missed the same
// messages.
type Comeback struct {
	Clients int   `json:"clients"`
	Behind  int   `json:"behind"`
	Count   int64 `json:"count"` // of messages that they missed and got
	// ConnectSeconds is the time until all of them were connected.
	ConnectSeconds float64 `json:"connect_seconds"`
	// LiveSeconds is the time until each of them had got everything that it had
	// missed, and then a message that was the latest one at this moment.
	LiveSeconds float64 `json:"live_seconds"`
	PerSecond   float64 `json:"per_second"`
	RSSBefore   int64   `json:"server_rss_bytes_before,omitempty"`
	RSSPeak     int64   `json:"server_rss_bytes_peak,omitempty"`
}

func (p *Replay) prepare(c *Config) (int, error) {
	if p.Messages < 0 && p.Clients < 0 {
		return 0, fmt.Errorf("%w: neither messages nor clients: want one of them", ErrOptions)
	}
	connections := 0
	if p.Messages >= 0 {
		if err := cmp.Or(positive("messages", &p.Messages, 100_000), positive("rounds", &p.Rounds, 3)); err != nil {
			return 0, err
		}
		connections += 2 + p.Rounds
	}
	if p.Clients >= 0 {
		if err := cmp.Or(positive("clients", &p.Clients, 1000), positive("behind", &p.Behind, 1000)); err != nil {
			return 0, err
		}
		connections += 2 + p.Clients
	}
	if c.Destination == "" {
		c.Destination = keptPrefix
	}
	return connections, positive("window", &p.Window, 1024)
}

func (p *Replay) measure(ctx context.Context, r *run) error {
	res := r.result
	res.Scenario, res.Unit, res.Check = "replay", "messages", new(Check)
	res.memoryBefore(r.ServerPID)
	m := startMeter(r.ServerPID)
	if p.Messages > 0 {
		if err := p.alone(ctx, r); err != nil {
			return err
		}
	}
	if p.Clients > 0 {
		if err := p.together(ctx, r); err != nil {
			return err
		}
	}
	n, took := int64(0), 0.0
	if o := res.Replay; o != nil {
		n = int64(o.Messages * o.Rounds)
		took = float64(n) / o.PerSecond
	} else {
		n, took = res.Comeback.Count, res.Comeback.LiveSeconds
	}
	m.stop(res, n)
	res.Seconds, res.PerSecond, res.GeneratorCPUPerMillion = round(took), perSecond(n, took), 0
	if res.Server != nil {
		res.Server.CPUPerMillion = 0
	}
	res.Check.Lost -= min(res.Check.Lost, res.Check.Corrupted) // corrupted messages have arrived
	if err := r.failure(); err != nil {
		res.fail(err.Error())
	}
	return nil
}

// publishing is a publisher to a topic with a history, and its live subscriber.
type publishing struct {
	*traffic
	flow *flow
	live *subscriber
}

// newPublishing connects both. messages is how many the history must keep.
func (p *Replay) newPublishing(ctx context.Context, r *run, name string, messages int) (*publishing, error) {
	t := newTraffic(r, 0)
	l := newLane(p.Window, 1)
	t.flow(0, name, l, 1)
	s := t.subscriber(name, l, 0, make([]tally, 1))
	if err := t.connectAll(ctx); err != nil {
		return nil, err
	}
	if err := t.settle(ctx); err != nil {
		return nil, err
	}
	return &publishing{t, t.flows[0], s}, s.mustBeKept(r.Destination, messages)
}

// offset returns the offset after everything that was published so far.
func (p *publishing) offset(ctx context.Context) (string, error) {
	p.live.probed.Store(false)
	if err := p.flow.probe(p.id); err != nil {
		return "", p.writeFailed(err)
	}
	switch {
	case p.poll(ctx, p.target.Timeout, p.live.probed.Load):
		return *p.live.offset.Load(), nil
	case ctx.Err() != nil:
		return "", interrupted(ctx)
	case p.failure() != nil:
		return "", p.failure()
	}
	return "", fmt.Errorf("a message to %s did not arrive within %v", p.live.destination, p.target.Timeout)
}

// send publishes messages and waits until the live subscriber has them. It
// returns how long that took.
func (p *publishing) send(ctx context.Context, messages int) (time.Duration, error) {
	start, sent, over := time.Now(), make(chan struct{}), make(chan struct{})
	stop := sync.OnceFunc(func() { close(over) })
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	p.tasks.Go(func() {
		p.publish(p.publishers[0], int64(messages), over)
		close(sent)
	})
	complete := p.complete(sent)
	took := time.Since(start)
	switch {
	case ctx.Err() != nil:
		return 0, interrupted(ctx)
	case p.failure() != nil:
		return 0, p.failure()
	case !complete:
		return 0, fmt.Errorf("of %d messages only %d arrived live", p.flow.sent.Load(), p.arrived())
	}
	return took, nil
}

// check adds the counts of the live subscriber to the result.
func (p *publishing) check() {
	c := p.result.Check
	c.Expected += p.expected()
	c.Lost += p.live.tallies[0].lost(p.flow.sent.Load())
	c.add(&p.live.counts)
}

// alone measures one client that comes back.
func (p *Replay) alone(ctx context.Context, r *run) error {
	from, err := p.newPublishing(ctx, r, r.kept(r.Destination), p.Messages)
	if err != nil {
		return err
	}
	r.Progress.phase("one client comes back", p.Rounds)
	var live, replayed time.Duration
	var ratios []float64
	for range p.Rounds {
		offset, err := from.offset(ctx)
		if err != nil {
			return err
		}
		first := from.flow.sent.Load()
		sending, err := from.send(ctx, p.Messages)
		if err != nil {
			return err
		}
		c := newReturner(from, offset, first, from.flow.sent.Load())
		getting, err := c.alone(ctx)
		if err != nil {
			return err
		}
		live, replayed = live+sending, replayed+getting
		ratios = append(ratios, sending.Seconds()/getting.Seconds())
		r.Progress.add(1)
	}
	from.check()
	all := float64(p.Messages * p.Rounds)
	r.result.Replay = &Replayed{
		Messages: p.Messages, Rounds: p.Rounds,
		LivePerSecond: round(all / live.Seconds()), PerSecond: round(all / replayed.Seconds()),
		Ratio: newRatio(live.Seconds()/replayed.Seconds(), ratios),
	}
	return nil
}

// liveEvery is the interval of the messages that are published while many
// clients come back.
const liveEvery = 50 * time.Millisecond

// together measures many clients that come back at once.
func (p *Replay) together(ctx context.Context, r *run) error {
	from, err := p.newPublishing(ctx, r, r.kept(r.Destination)+"-many", p.Behind)
	if err != nil {
		return err
	}
	offset, err := from.offset(ctx)
	if err != nil {
		return err
	}
	first := from.flow.sent.Load()
	if _, err := from.send(ctx, p.Behind); err != nil {
		return err
	}
	missed := from.flow.sent.Load()
	m := startMeter(r.ServerPID)
	before := m.server.rss
	stop := from.publishSlowly(m)
	defer stop()

	start := r.clock.now()
	clients := make([]*returner, p.Clients)
	for i := range clients {
		clients[i] = newReturner(from, offset, first, missed)
		clients[i].current = from.flow.sent.Load
	}
	if err := r.open(ctx, p.Clients, "0,0", func(c *conn) error { return clients[c.number].subscribe(c) }); err != nil {
		return err
	}
	connected := r.clock.now()
	r.Progress.phase("many clients come back", p.Clients)
	last := start
	for _, c := range clients {
		at, err := c.wait(ctx)
		if err != nil {
			return err
		}
		last = max(last, at)
		r.Progress.add(1)
	}
	stop()
	sent := make(chan struct{})
	close(sent)
	from.complete(sent)
	all := from.flow.sent.Load()
	r.poll(ctx, r.Patience, func() bool {
		for _, c := range clients {
			if !c.has(all) {
				return false
			}
		}
		return true
	})
	from.check()
	for _, c := range clients {
		c.check(all)
	}
	seconds := time.Duration(last - start).Seconds()
	n := int64(p.Clients * p.Behind)
	r.result.Comeback = &Comeback{
		Clients: p.Clients, Behind: p.Behind, Count: n,
		ConnectSeconds: round(time.Duration(connected - start).Seconds()), LiveSeconds: round(seconds),
		PerSecond: perSecond(n, seconds), RSSBefore: before, RSSPeak: m.peak,
	}
	return nil
}

// publishSlowly publishes until stop is called, and meanwhile records the
// memory of the server.
func (p *publishing) publishSlowly(m *meter) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	p.tasks.Go(func() {
		defer close(done)
		tick := time.NewTicker(liveEvery)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				p.publish(p.publishers[0], 1, over)
				if n%2 == 0 {
					m.sample()
				}
			case <-over:
				return
			case <-p.over:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(over)
		<-done
	})
}
