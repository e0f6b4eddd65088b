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

// Config is the configuration that all scenarios share.
type Config struct {
	Target
	// Size is the size of the message bodies in bytes, at least 32. Default
	// 128.
	Size int
	// Warmup is how long the load runs before the measurement; negative means
	// not at all. Default 2 s.
	Warmup time.Duration
	// Duration is the length of the measurement. Default 5 s.
	Duration time.Duration
	// Patience is how long to wait without any arrival before missing messages
	// count as lost. Default 5 s.
	Patience time.Duration
	// Parallel is how many connections are opened at a time. Default 32.
	Parallel int
	// Destination begins all destinations of a run. A run appends its own name,
	// so that runs do not interfere. The default depends on the scenario.
	Destination string
	// Headers are further headers, name and value, of every SEND and SUBSCRIBE.
	Headers [][2]string
	// ServerPID is the process whose CPU time and memory are measured,
	// including its descendants; 0 means none. Linux only.
	ServerPID int
	// Progress shows the progress of the run. Nil means not at all.
	Progress *Progress
}

// Scenario is a kind of load.
type Scenario interface {
	// prepare validates the scenario, sets its defaults and returns how many
	// connections it opens.
	prepare(c *Config) (connections int, err error)
	// measure runs the scenario. Failures of the server are in the result, even
	// if ctx ended. An error means that nothing was measured.
	measure(ctx context.Context, r *run) error
}

var (
	// ErrOptions is wrapped by errors about an invalid Config or Scenario;
	// nothing was dialled.
	ErrOptions = errors.New("bad option")
	// ErrInterrupted is wrapped by the error of a run whose context ended
	// before the measurement.
	ErrInterrupted = errors.New("interrupted")
)

// maxSize limits message bodies, far above any server's limit.
const maxSize = 64 << 20

// run is one run of a scenario.
type run struct {
	Config
	target  *target
	clock   clock
	buffers *buffers
	id      uint16 // for the stamps
	name    string // for the destinations
	result  *Result

	tasks sync.WaitGroup
	over  chan struct{} // closed at the end, to stop all waiting tasks

	mu     sync.Mutex
	conns  []*conn
	broken chan struct{} // closed by the first failure
	cause  error         // of the first failure
}

// clock counts nanoseconds from the start of a run.
type clock struct{ start time.Time }

func (c clock) now() int64 { return int64(time.Since(c.start)) }

// Run runs a scenario against a server. If the server lost, duplicated,
// reordered or corrupted messages, or ended a connection, the Result's Failures
// say so. An error means that there is no result: [ErrOptions], a server that
// cannot be reached or rejects the clients, or [ErrInterrupted].
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

// portsOfAddress is how many connections use one address before the next is
// used: systems provide some 28,000 ports per address.
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

// positive sets the default of a count and validates it.
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
		return fmt.Errorf("%w: rate %v: want a number of messages a second up to 10000000, or 0 for unlimited", ErrOptions, rate)
	}
	return nil
}

// open opens n connections, Config.Parallel at a time, and calls up for each.
// It opens the first one alone, so that a server that rejects it reports the
// reason once, before it throttles the others.
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

// interrupted returns the error of a context that has ended, or nil.
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

// receive starts to read a connection. Its end fails the run, unless this side
// closed it or ended reports that it was expected.
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

// writeFailed returns why the run failed after a failed write. The server may
// have ended the connection with an ERROR, which the reader finds a moment
// later and which says more.
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

// wait waits for d. It returns false if the user interrupts or the run has
// failed.
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

// poll waits until ok returns true, at most d.
func (r *run) poll(ctx context.Context, d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); !ok(); {
		if time.Now().After(end) || !r.wait(ctx, 2*time.Millisecond) {
			return ok()
		}
	}
	return true
}

// last waits for a phase of the given length, and shows its progress.
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
