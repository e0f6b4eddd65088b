package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// Idle is connections without messages. It measures how fast they open and what
// each costs. They are held and measured for Config.Duration, after
// Config.Warmup in which the server can settle.
type Idle struct {
	// Clients is the number of connections. Default 1000.
	Clients int
	// Heartbeat is the interval that the clients offer, request and keep. Zero
	// means 10 s, negative means no heart-beats.
	Heartbeat time.Duration
	// Unsubscribed connections have no subscription; the others each subscribe
	// to their own topic.
	Unsubscribed bool
}

func (o *Idle) prepare(c *Config) (int, error) {
	if o.Heartbeat == 0 {
		o.Heartbeat = 10 * time.Second
	}
	if 0 < o.Heartbeat && o.Heartbeat < 100*time.Millisecond || o.Heartbeat > time.Hour {
		return 0, fmt.Errorf("%w: heartbeat %v: want 100ms to 1h", ErrOptions, o.Heartbeat)
	}
	if c.Destination == "" {
		c.Destination = "/topic/bench"
	}
	err := positive("connections", &o.Clients, 1000)
	return o.Clients, err
}

func (o *Idle) measure(ctx context.Context, r *run) error {
	res := r.result
	res.Scenario, res.Unit, res.Size, res.Idle = "idle", "connections", 0, new(IdleCost)
	r.buffers = &buffers{size: 8 << 10}
	heartbeat := "0,0"
	var beats atomic.Int64
	if o.Heartbeat > 0 {
		ms := strconv.FormatInt(o.Heartbeat.Milliseconds(), 10)
		heartbeat = ms + "," + ms
		r.tasks.Go(func() { o.beat(r, &beats) })
	}
	latency := new(histogram)
	res.memoryBefore(r.ServerPID)
	opening, m := new(Result), startMeter(r.ServerPID)
	err := r.open(ctx, o.Clients, heartbeat, func(c *conn) error {
		c.thorough = true
		r.receive(c, silent{}, nil)
		r.mu.Lock()
		latency.add(int64(c.took))
		r.mu.Unlock()
		if o.Unsubscribed {
			return nil
		}
		if err := c.subscribe(r.destination()+"."+strconv.Itoa(c.number), "auto"); err != nil {
			return r.writeFailed(fmt.Errorf("connection %d ended: %w", c.number, plain(err)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	n := int64(o.Clients)
	m.stop(opening, n)
	if r.last(ctx, "settling", r.Warmup, nil) {
		m, sent, received := startMeter(r.ServerPID), beats.Load(), r.received()
		r.last(ctx, "holding", r.Duration, m.sample)
		m.stop(res, n)
		res.Idle.HeartbeatsSent, res.Idle.BytesReceived = beats.Load()-sent, r.received()-received
	}
	res.PerSecond, res.Latency = opening.PerSecond, latency.latency()
	res.GeneratorCPUPerMillion = 0
	res.Idle.ConnectSeconds = opening.Seconds
	if s := res.Server; s != nil && res.Seconds > 0 && opening.Server != nil {
		s.CPUPerMillion = 0
		res.Idle.CPUPercent = round(s.CPU / res.Seconds * 100)
		res.Idle.RSSPerConnection = round(float64(s.RSSAfter-s.RSSBefore) / float64(n))
		res.Idle.CPUPerConnect = round(opening.Server.CPU / float64(n) * 1000)
	}
	if err := r.failure(); err != nil {
		res.fail(err.Error())
	}
	return nil
}

// received returns how many bytes arrived on all connections.
func (r *run) received() (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		n += c.bytes.Load()
	}
	return n
}

// beatSlots is the number of parts of an interval, so that the heart-beats of
// many connections are spread out.
const beatSlots = 100

// beat sends the heart-beats of all connections until the run ends. It sends
// them a little early, to allow for delays on the way.
func (o *Idle) beat(r *run, beats *atomic.Int64) {
	ticker := time.NewTicker(o.Heartbeat * 9 / 10 / beatSlots)
	defer ticker.Stop()
	for slot := 0; ; slot = (slot + 1) % beatSlots {
		select {
		case <-ticker.C:
		case <-r.over:
			return
		}
		r.mu.Lock()
		conns := r.conns
		r.mu.Unlock()
		for i := slot; i < len(conns); i += beatSlots {
			// the connection's reader notices if it has ended
			if conns[i].send([]byte{'\n'}) == nil {
				beats.Add(1)
			}
		}
	}
}
