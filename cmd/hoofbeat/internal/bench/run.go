package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// Config is what all scenarios have in common.
type Config struct {
	Target
	// Size is the size of the message bodies in bytes, 32 at least. Default 128.
	Size int
	// Warmup is how long the load runs before it is measured, negative for not
	// at all. Default 2 s.
	Warmup time.Duration
	// Duration is how long it is measured. Default 5 s.
	Duration time.Duration
	// Patience is how long nothing may arrive before messages that have not come
	// are taken for lost. Default 5 s.
	Patience time.Duration
	// Parallel is how many connections are opened at a time. Default 32.
	Parallel int
	// Destination is what the destinations of a run begin with; a run adds a
	// name of its own, so that runs do not meet. Default: see the scenario.
	Destination string
	// ServerPID is the process, with its descendants, whose CPU time and memory
	// are measured, 0 for none. Linux only.
	ServerPID int
	// Progress is told how far the run is. Nil for nobody.
	Progress *Progress
}

// Scenario is a kind of load.
type Scenario interface {
	// prepare checks the scenario, fills in its defaults and says how many
	// connections it opens.
	prepare(c *Config) (connections int, err error)
	// measure runs it. What went wrong at the server is in the result, also when
	// ctx ended; an error is a run that measured nothing.
	measure(ctx context.Context, r *run) error
}

var (
	// ErrOptions is wrapped by errors about a Config or Scenario that cannot be
	// used; nothing was dialled.
	ErrOptions = errors.New("bad option")
	// ErrInterrupted is wrapped by the error of a run whose context ended before
	// anything was measured.
	ErrInterrupted = errors.New("interrupted")
)

// maxSize bounds message bodies: far more than any server takes.
const maxSize = 64 << 20

// run is one run of a scenario.
type run struct {
	Config
	target  *target
	clock   clock
	buffers *buffers
	id      uint16 // in the stamps
	name    string // in the destinations
	result  *Result

	tasks sync.WaitGroup
	over  chan struct{} // closed at the end: no task waits longer

	mu     sync.Mutex
	conns  []*conn
	broken chan struct{} // closed by the first failure
	cause  error         // of it
}

// clock counts nanoseconds from the start of a run.
type clock struct{ start time.Time }

func (c clock) now() int64 { return int64(time.Since(c.start)) }

// Run runs a scenario against a server. A server that lost, doubled, reordered
// or corrupted messages, or ended a connection, makes a Result whose Failures
// say so. The error is for runs without a result: [ErrOptions], a server that
// cannot be reached or refuses, [ErrInterrupted].
func Run(ctx context.Context, c Config, s Scenario) (*Result, error) {
	connections, err := s.prepare(&c)
	if err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	t, err := c.Target.check()
	if err != nil {
		return nil, err
	}
	if err := checkFiles(connections); err != nil {
		return nil, err
	}
	if t.Sources == 0 && connections > portsOfAddress && t.loopback() {
		t.Sources = connections/portsOfAddress + 1
	}
	id := uint16(rand.N(1 << 15))
	r := &run{
		Config: c, target: t, clock: clock{time.Now()}, id: id, name: strconv.FormatUint(uint64(id)|1<<15, 36),
		buffers: &buffers{size: max(64<<10, 2*(c.Size+8<<10))},
		over:    make(chan struct{}), broken: make(chan struct{}),
		result: &Result{URL: t.shown, Connections: connections, Size: c.Size},
	}
	err = s.measure(ctx, r)
	close(r.over)
	r.disconnect()
	r.tasks.Wait()
	c.Progress.clear()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		r.result.Interrupted = true
	}
	r.result.finish()
	return r.result, nil
}

// portsOfAddress is how many connections are made from one address before more
// are used: systems hand out some 28,000 ports.
const portsOfAddress = 20_000

func (c *Config) check() error {
	if c.Size == 0 {
		c.Size = 128
	}
	if c.Size < stampSize || c.Size > maxSize {
		return fmt.Errorf("%w: size %d: want %d to %d bytes", ErrOptions, c.Size, stampSize, maxSize)
	}
	for _, d := range []struct {
		p      *time.Duration
		preset time.Duration
		name   string
	}{{&c.Warmup, 2 * time.Second, "warmup"}, {&c.Duration, 5 * time.Second, "duration"}, {&c.Patience, 5 * time.Second, "patience"}} {
		if *d.p == 0 {
			*d.p = d.preset
		}
		if *d.p < 0 && d.name != "warmup" {
			return fmt.Errorf("%w: %s %v is not positive", ErrOptions, d.name, *d.p)
		}
	}
	if c.Parallel == 0 {
		c.Parallel = 32
	}
	if c.Parallel < 1 {
		return fmt.Errorf("%w: parallel %d is not positive", ErrOptions, c.Parallel)
	}
	if c.ServerPID != 0 {
		return checkProcess(c.ServerPID)
	}
	return nil
}

// positive fills in the default of a count and checks it.
func positive(name string, p *int, preset int) error {
	if *p == 0 {
		*p = preset
	}
	if *p < 1 || *p > maxConnections {
		return fmt.Errorf("%w: %s %d: want 1 to %d", ErrOptions, name, *p, maxConnections)
	}
	return nil
}

const maxConnections = 1_000_000

func checkRate(rate float64) error {
	if rate < 0 || rate > 1e7 {
		return fmt.Errorf("%w: rate %v: want a number of messages a second up to 10000000, or 0 for as many as go", ErrOptions, rate)
	}
	return nil
}

// open opens n connections, some at a time, and calls up for each. It opens the
// first one alone: a server that refuses says why once, before it begins to
// throttle the others.
func (r *run) open(ctx context.Context, n int, heartbeat string, up func(*conn) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.Progress.phase("connecting", n)
	one := func(number int) bool {
		c, err := r.connect(ctx, number, heartbeat)
		if err == nil {
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			err = up(c)
		}
		if err != nil {
			cancel(err)
			return false
		}
		r.Progress.add(1)
		return true
	}
	if n > 0 && !one(0) {
		return interrupted(ctx)
	}
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range min(n, r.Parallel) {
		workers.Go(func() {
			for number := range numbers {
				if !one(number) {
					return
				}
			}
		})
	}
feed:
	for number := 1; number < n; number++ {
		select {
		case numbers <- number:
		case <-ctx.Done():
			break feed
		}
	}
	close(numbers)
	workers.Wait()
	return interrupted(ctx)
}

// interrupted is the error of a context that ended, nil for one that did not.
func interrupted(ctx context.Context) error {
	switch {
	case ctx.Err() == nil:
		return nil
	case errors.Is(context.Cause(ctx), context.Canceled):
		return ErrInterrupted
	default:
		return context.Cause(ctx)
	}
}

// receive starts reading a connection. Its end fails the run, unless this side
// closed it or ended says that it was to be expected.
func (r *run) receive(c *conn, to receiver, ended func(error) bool) {
	r.tasks.Go(func() {
		err := c.why(r.clock, c.receive(r.clock, to))
		expected := c.closing.Load()
		c.close()
		if !expected && (ended == nil || !ended(err)) {
			r.fail(fmt.Errorf("connection %d ended: %w", c.number, plain(err)))
		}
	})
}

// writeFailed returns why the run failed after a write did. The server may have
// ended the connection with an ERROR that its reader finds a moment later, and
// that says more than the write.
func (r *run) writeFailed(err error) error {
	late := time.NewTimer(2 * afterError)
	defer late.Stop()
	select {
	case <-r.broken:
		return r.failure()
	case <-r.over:
	case <-late.C:
	}
	return err
}

// fail ends the run early.
func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil {
		r.cause = err
		close(r.broken)
	}
}

func (r *run) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// wait lets time pass and reports whether it was all of d: false when the user
// has enough or the run has failed.
func (r *run) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-r.broken:
	}
	return false
}

// poll waits until ok, at most d.
func (r *run) poll(ctx context.Context, d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); !ok(); {
		if time.Now().After(end) || !r.wait(ctx, 2*time.Millisecond) {
			return ok()
		}
	}
	return true
}

// last waits for a phase of a certain length, showing how far it is.
func (r *run) last(ctx context.Context, phase string, d time.Duration, tick func()) bool {
	if d <= 0 {
		return true
	}
	r.Progress.phase(phase, int(d/time.Millisecond))
	start := time.Now()
	for {
		left := d - time.Since(start)
		if left <= 0 {
			return true
		}
		if !r.wait(ctx, min(left, 250*time.Millisecond)) {
			return false
		}
		r.Progress.set(int(time.Since(start) / time.Millisecond))
		if tick != nil {
			tick()
		}
	}
}

// disconnect ends all connections.
func (r *run) disconnect() {
	conns := make(chan *conn)
	var workers sync.WaitGroup
	for range min(len(r.conns), r.Parallel) {
		workers.Go(func() {
			for c := range conns {
				c.leave()
			}
		})
	}
	for _, c := range r.conns {
		conns <- c
	}
	close(conns)
	workers.Wait()
}
