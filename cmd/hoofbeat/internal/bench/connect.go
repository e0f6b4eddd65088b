package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Connect is clients that connect and disconnect, Config.Parallel of them at a
// time.
type Connect struct {
	// Cycle makes each client subscribe to its own topic, send a message to it
	// and receive it before it disconnects.
	Cycle bool
}

func (o *Connect) prepare(c *Config) (int, error) {
	if c.Destination == "" {
		c.Destination = "/topic/bench"
	}
	err := positive("parallel", &c.Parallel, 32)
	return c.Parallel, err
}

// comer counts the results of one worker's clients.
type comer struct {
	latency histogram
	counts  Check
}

func (o *Connect) measure(ctx context.Context, r *run) error {
	res := r.result
	res.Scenario, res.Unit = "connect", "connections"
	if o.Cycle {
		res.Unit = "cycles"
	} else {
		res.Size = 0
	}
	var numbers, cycles atomic.Int64
	var measuring atomic.Bool
	stop := make(chan struct{})
	comers := make([]*comer, r.Parallel)
	var workers sync.WaitGroup
	// Connect the first client alone: a server that is down or rejects it is an
	// error.
	if err := o.once(ctx, r, 0, new(comer)); err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		return err
	}
	res.memoryBefore(r.ServerPID)
	for i := range comers {
		w := new(comer)
		comers[i] = w
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				if err := o.once(context.WithoutCancel(ctx), r, int(numbers.Add(1)), w); err != nil {
					r.fail(err)
					return
				}
				if measuring.Load() {
					cycles.Add(1)
					w.latency.add(int64(time.Since(start)))
				}
			}
		})
	}
	if r.last(ctx, "warming up", r.Warmup, nil) {
		m := startMeter(r.ServerPID)
		measuring.Store(true)
		r.last(ctx, "measuring", r.Duration, m.sample)
		measuring.Store(false)
		m.stop(res, cycles.Load())
	}
	close(stop)
	workers.Wait()
	latency, check := new(histogram), new(Check)
	for _, w := range comers {
		latency.merge(&w.latency)
		check.add(&w.counts)
		check.Expected += w.counts.Expected
		check.Lost += w.counts.Lost
	}
	res.Latency = latency.latency()
	if o.Cycle {
		res.Check = check
	}
	if err := r.failure(); err != nil {
		res.fail(err.Error())
	}
	return nil
}

// resendAfter is how long a client waits for its own message before it sends it
// again: some servers handle a SEND before an earlier SUBSCRIBE.
const resendAfter = 200 * time.Millisecond

// once runs one client.
func (o *Connect) once(ctx context.Context, r *run, number int, w *comer) error {
	c, err := r.connect(ctx, number, "0,0")
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer c.leave()
	if !o.Cycle {
		return nil
	}
	destination := r.destination() + "." + strconv.Itoa(number)
	if err := c.subscribe(destination, "auto"); err != nil {
		return fmt.Errorf("connection %d ended: %w", number, plain(c.why(r.clock, err)))
	}
	w.counts.Expected++
	t := newTemplate(destination, r.Size, r.Headers)
	stamp{run: r.id, flow: uint32(number), due: r.clock.now()}.put(t.body)
	for end := time.Now().Add(r.target.Timeout); time.Now().Before(end); {
		if err := c.send(t.frame); err != nil {
			return fmt.Errorf("connection %d ended: %w", number, plain(c.why(r.clock, err)))
		}
		limited, cancel := context.WithTimeout(ctx, resendAfter)
		err := c.await(limited, r.clock, "MESSAGE", func(f *frame) bool {
			m, err := readStamp(f.body, t.body[stampSize:])
			switch {
			case err != nil:
				w.counts.Corrupted++
			case m.run != r.id || m.flow != uint32(number):
				w.counts.Misrouted++
			default:
				w.counts.Received++
			}
			return true
		})
		cancel()
		if err == nil {
			return nil
		}
		if c.refusal != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("connection %d ended: %w", number, plain(err))
		}
	}
	w.counts.Lost++
	return nil
}
