package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// returner is a client that comes back to a topic with an offset.
type returner struct {
	from   *publishing
	offset string
	first  uint64 // number of the first message that it has missed
	missed uint64 // number after the last one
	// current returns the number after the latest message that was sent. Nil
	// if the client needs only what it has missed.
	current func() uint64
	ready   chan struct{} // closed when it has caught up, or cannot

	mu      sync.Mutex
	tally   tally
	counts  Check
	now     int64
	at      int64  // when it had caught up
	claimed string // header recovered of the RECEIPT
	ended   bool
}

func newReturner(from *publishing, offset string, first, missed uint64) *returner {
	return &returner{from: from, offset: offset, first: first, missed: missed, tally: tally{next: first}, ready: make(chan struct{}), at: math.MaxInt64}
}

var errTooShort = errors.New("the history is too short")

// subscribe subscribes and begins to receive.
func (c *returner) subscribe(to *conn) error {
	c.from.receive(to, c, nil)
	destination := escape(c.from.live.destination)
	if err := to.send(command("SUBSCRIBE", "id", "0", "destination", destination, "ack", "auto", "offset", c.offset, "receipt", "0")); err != nil {
		return c.from.writeFailed(fmt.Errorf("connection %d ended: %w", to.number, plain(err)))
	}
	return nil
}

// alone connects, gets what it has missed, and leaves. It returns the time from
// SUBSCRIBE to the last message.
func (c *returner) alone(ctx context.Context) (time.Duration, error) {
	r := c.from.run
	to, err := r.connect(ctx, 0, "0,0")
	if err != nil {
		return 0, err
	}
	start := r.clock.now()
	if err = c.subscribe(to); err == nil {
		var at int64
		if at, err = c.wait(ctx); err == nil {
			c.check(c.missed)
			to.leave()
			return time.Duration(at - start), nil
		}
	}
	to.leave()
	return 0, err
}

// wait waits until the client has caught up and returns when it had.
func (c *returner) wait(ctx context.Context) (int64, error) {
	r := c.from.run
	for seen := uint64(0); ; {
		late := time.NewTimer(r.Patience)
		select {
		case <-c.ready:
		case <-ctx.Done():
		case <-r.broken:
		case <-late.C:
		}
		late.Stop()
		c.mu.Lock()
		got, at, claimed, ended := c.counts.Received, c.at, c.claimed, c.ended
		c.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return 0, interrupted(ctx)
		case ended && claimed != "true":
			return 0, fmt.Errorf("%w: %s must keep %d messages. Raise history[].messages, and history[].bytes, of the server", errTooShort, c.from.live.destination, c.missed-c.first)
		case ended:
			return at, nil
		case r.failure() != nil:
			return 0, r.failure()
		case got == seen:
			return 0, fmt.Errorf("a client that came back got %d messages and then none within %v; it missed %d", got, r.Patience, c.missed-c.first)
		}
		seen = got
	}
}

// has reports whether the client has all messages before a number.
func (c *returner) has(number uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally.next >= number
}

// check adds the counts to the result. Messages before the number all must have
// arrived.
func (c *returner) check(all uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to := c.from.result.Check
	to.Expected += all - c.first
	to.Lost += c.tally.lost(all)
	to.add(&c.counts)
}

func (c *returner) begin(now int64) {
	c.mu.Lock()
	c.now = now
}

func (c *returner) end() error {
	c.mu.Unlock()
	return nil
}

func (c *returner) frame(f *frame) {
	if string(f.command) == "RECEIPT" {
		if c.claimed = f.text("recovered"); c.claimed != "true" {
			c.finish()
		}
		return
	}
	if string(f.command) != "MESSAGE" {
		return
	}
	m, err := readStamp(f.body, c.from.filling)
	switch {
	case err != nil:
		c.counts.Corrupted++
		return
	case m.run != c.from.id || m.flow != 0:
		c.counts.Misrouted++
		return
	case m.probe:
		return
	}
	if m.sequence < c.first { // it had this one before it went
		c.counts.Duplicated++
		return
	}
	c.counts.Received++
	switch c.tally.see(m.sequence) {
	case again:
		c.counts.Duplicated++
	case late:
		c.counts.Reordered++
	}
	if c.current == nil && m.sequence+1 >= c.missed || c.current != nil && m.sequence >= c.missed && m.sequence+1 >= c.current() {
		c.finish()
	}
}

// finish notes that the client has caught up, or cannot.
func (c *returner) finish() {
	if !c.ended {
		c.ended, c.at = true, c.now
		close(c.ready)
	}
}
