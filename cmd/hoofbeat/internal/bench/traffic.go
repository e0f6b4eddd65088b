package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// traffic is the load of all scenarios in which some clients send messages and
// others receive them.
type traffic struct {
	*run
	flows       []*flow
	publishers  []*publisher
	subscribers []*subscriber
	places      []*place // where arrivals are counted
	rate        float64  // messages a second of all publishers; 0: the lanes decide
	competing   bool     // each message goes to one subscriber, not to all
	stalled     int      // how many of the first subscribers stop reading
	filling     []byte
	stop        chan struct{} // closed when enough was sent
	lag         histogram     // how late the generator was, at a rate
}

// newTraffic returns a traffic without flows and subscribers.
func newTraffic(r *run, rate float64) *traffic {
	t := &traffic{run: r, rate: rate, filling: fillingOf(r.Size), stop: make(chan struct{})}
	for range runtime.GOMAXPROCS(0) {
		t.places = append(t.places, &place{})
	}
	return t
}

// measure connects all clients, runs the load and collects the results.
func (t *traffic) measure(ctx context.Context) error {
	if err := t.connectAll(ctx); err != nil {
		return err
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	for _, s := range t.subscribers[:t.stalled] {
		s.pause.Store(true)
	}
	t.result.memoryBefore(t.ServerPID)
	var senders sync.WaitGroup
	if t.rate > 0 {
		senders.Go(t.pace)
	} else {
		for _, p := range t.publishers {
			senders.Go(func() { t.publish(p, never, t.stop) })
		}
	}
	sent := make(chan struct{})
	t.tasks.Go(func() { senders.Wait(); close(sent) })

	if t.last(ctx, "warming up", t.Warmup, nil) {
		t.window(ctx)
	}
	close(t.stop)
	t.drain(sent)
	t.verify(ctx)
	return nil
}

// connectAll connects the subscribers first, and then the publishers.
func (t *traffic) connectAll(ctx context.Context) error {
	return t.open(ctx, len(t.subscribers)+len(t.publishers), "0,0", func(c *conn) error {
		if n := c.number - len(t.subscribers); n >= 0 {
			t.publishers[n].conn = c
			t.receive(c, silent{}, nil)
			return nil
		}
		s := t.subscribers[c.number]
		s.conn = c
		if s.release != nil {
			c.thorough = true
			if err := c.narrow(); err != nil {
				return err
			}
		}
		t.receive(c, s, s.over)
		if err := c.subscribe(s.destination, s.ack); err != nil {
			return t.writeFailed(fmt.Errorf("connection %d ended: %w", c.number, plain(err)))
		}
		return nil
	})
}

// settle sends probes until every subscription is active: a server may handle a
// SEND of one connection before an earlier SUBSCRIBE of another.
func (t *traffic) settle(ctx context.Context) error {
	t.Progress.phase("subscribing", len(t.subscribers))
	active := func() int {
		n := 0
		for _, s := range t.subscribers {
			if s.probed.Load() {
				n++
			}
		}
		if t.competing && n > 0 {
			n = len(t.subscribers)
		}
		t.Progress.set(n)
		return n
	}
	for end := time.Now().Add(t.target.Timeout); ; {
		asked := make(map[uint32]bool)
		for _, s := range t.subscribers {
			if s.probed.Load() || asked[s.first] {
				continue
			}
			asked[s.first] = true
			if err := t.flows[s.first].probe(t.id); err != nil {
				return t.writeFailed(err)
			}
			if t.competing {
				break
			}
		}
		if t.poll(ctx, 300*time.Millisecond, func() bool { return active() == len(t.subscribers) }) {
			return nil
		}
		if err := t.failure(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		if time.Now().After(end) {
			return fmt.Errorf("of %d subscriptions only %d got a message within %v", len(t.subscribers), active(), t.target.Timeout)
		}
	}
}

// window measures for the duration.
func (t *traffic) window(ctx context.Context) {
	from := t.clock.now()
	for _, p := range t.places {
		p.mu.Lock()
		p.measuring, p.from, p.to = true, from, never
		p.mu.Unlock()
	}
	m := startMeter(t.ServerPID)
	arrived, sent := t.arrived(), t.sent()
	readBytes, reads := t.input()
	before, at := arrived, time.Now()
	t.last(ctx, "measuring", t.Duration, func() {
		n, now := t.arrived(), time.Now()
		t.Progress.note(fmt.Sprintf("%s/s", count(float64(n-before)/now.Sub(at).Seconds())))
		before, at = n, now
		m.sample()
	})
	arrived, sent = t.arrived()-arrived, t.sent()-sent
	bytesAfter, readsAfter := t.input()
	to := t.clock.now()
	for _, p := range t.places {
		p.mu.Lock()
		p.to = to
		p.measuring = t.rate > 0 // a message that was due in time still counts, however late
		p.mu.Unlock()
	}
	m.stop(t.result, arrived)
	t.result.SentPerSecond = perSecond(int64(sent), t.result.Seconds)
	if arrived > 0 {
		t.result.MessagesPerRead = round(float64(arrived) / float64(max(1, readsAfter-reads)))
		t.result.BytesPerMessage = round(float64(bytesAfter-readBytes) / float64(arrived))
	}
}

func (t *traffic) arrived() (n int64) {
	for _, p := range t.places {
		p.mu.Lock()
		n += p.arrived
		p.mu.Unlock()
	}
	return n
}

func (t *traffic) sent() (n uint64) {
	for _, f := range t.flows {
		n += f.sent.Load()
	}
	return n
}

// expected returns how many arrivals the messages sent so far cause.
func (t *traffic) expected() (n uint64) {
	for _, f := range t.flows {
		n += f.sent.Load() * uint64(f.expected)
	}
	return n
}

func (t *traffic) input() (bytes, reads int64) {
	for _, s := range t.subscribers {
		bytes += s.conn.bytes.Load()
		reads += s.conn.reads.Load()
	}
	return bytes, reads
}

// doublesAfter is how long a run waits for duplicates.
const doublesAfter = 200 * time.Millisecond

// drain waits for the remaining messages, until none has arrived for a while.
func (t *traffic) drain(sent <-chan struct{}) {
	t.Progress.phase("waiting for the last messages", 0)
	if t.complete(sent) {
		time.Sleep(doublesAfter)
	}
}

// complete waits until everything that is sent before sent is closed has
// arrived. It returns false if nothing has arrived for a while.
func (t *traffic) complete(sent <-chan struct{}) bool {
	seen, at := int64(-1), time.Now()
	for {
		arrived := t.arrived()
		select {
		case <-sent:
			if uint64(arrived) >= t.expected() {
				return true
			}
		default:
		}
		patience := t.Patience
		if t.failure() != nil {
			patience = min(patience, time.Second)
		}
		if arrived != seen {
			seen, at = arrived, time.Now()
		} else if time.Since(at) > patience {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// verify collects the counts of the subscribers.
func (t *traffic) verify(ctx context.Context) {
	t.stalledReaders(ctx)
	c := &Check{Expected: t.expected()}
	latency := new(histogram)
	for _, p := range t.places {
		p.mu.Lock()
		defer p.mu.Unlock()
		latency.merge(&p.latency)
	}
	for _, s := range t.subscribers[t.stalled:] {
		c.add(&s.counts)
		if t.competing {
			continue
		}
		for i := range s.tallies {
			c.Lost += s.tallies[i].lost(t.flows[int(s.first)+i].sent.Load())
		}
	}
	if t.competing {
		for i := range t.subscribers[0].tallies {
			c.Lost += t.subscribers[0].tallies[i].lost(t.flows[i].sent.Load())
		}
	}
	c.Lost -= min(c.Lost, c.Corrupted) // corrupted messages have arrived
	r := t.result
	r.Latency, r.Check = latency.latency(), c
	if t.rate > 0 {
		r.GeneratorLag = t.lag.latency()
	}
	if err := t.failure(); err != nil {
		r.fail(err.Error())
	}
}
