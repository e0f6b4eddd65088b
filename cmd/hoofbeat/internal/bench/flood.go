package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// Flood is strangers, clients that connect from many addresses and never send
// CONNECT, while good clients connect one after another. The server must be on
// 127.0.0.0/8.
type Flood struct {
	// Strangers is the number of strangers. Default 10000.
	Strangers int
	// Limit is the maximum time from dialling to CONNECTED for a good client.
	// Default 100 ms.
	Limit time.Duration
	// Most is the maximum number of strangers connected at a time: the server's
	// limit, plus some that the server is just disconnecting. Default 2048.
	Most int
	// Life is the maximum time that a stranger may stay connected. Default 6 s.
	Life time.Duration
}

const (
	floodSources = 10_000                // addresses of the strangers
	goodEvery    = 50 * time.Millisecond // interval between two good clients
)

func (o *Flood) prepare(c *Config) (int, error) {
	c.Sources = cmp.Or(c.Sources, floodSources)
	o.Limit, o.Life = cmp.Or(o.Limit, 100*time.Millisecond), cmp.Or(o.Life, 6*time.Second)
	if o.Limit < 0 || o.Life < 0 || o.Life > time.Hour {
		return 0, fmt.Errorf("%w: limit %v and life %v: want positive durations, of an hour at most", ErrOptions, o.Limit, o.Life)
	}
	err := errors.Join(positive("strangers", &o.Strangers, 10_000), positive("most", &o.Most, 2048))
	return o.Strangers + 1, err
}

func (o *Flood) measure(ctx context.Context, r *run) error {
	res := r.result
	res.Scenario, res.Unit, res.Size = "flood", "good clients", 0
	f := &flood{Flood: o, run: r, stop: make(chan struct{})}
	// Connect the first client alone: a server that is down or rejects it is an
	// error.
	if err := f.goodClient(ctx, 0); err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		return fmt.Errorf("connecting: %w", err)
	}
	f.latency = histogram{}
	res.memoryBefore(r.ServerPID)
	m := startMeter(r.ServerPID)
	var good sync.WaitGroup
	good.Go(func() { f.goodClients(context.WithoutCancel(ctx)) })
	f.strangers(ctx)
	close(f.stop)
	good.Wait()
	m.stop(res, int64(f.latency.count))
	res.GeneratorCPUPerMillion = 0 // the generator does other work than connecting good clients
	res.Latency, res.Flood = f.latency.latency(), &f.seen
	f.judge()
	return nil
}

// flood is one run of a Flood.
type flood struct {
	*Flood
	*run
	stop chan struct{} // closed when no more good clients should connect

	latency  histogram // of good clients; used only by them until stop is closed
	unserved int       // good clients that did not connect
	cause    error     // of the first failure

	mu      sync.Mutex
	seen    Flooded
	now     int // connected strangers
	longest time.Duration
	failure error // of a stranger that did not reach the server
}

// goodClients connects one client after another until stop is closed.
func (f *flood) goodClients(ctx context.Context) {
	every := time.NewTicker(goodEvery)
	defer every.Stop()
	for number := 1; ; number++ {
		if err := f.goodClient(ctx, number); err != nil {
			f.unserved++
			f.cause = cmp.Or(f.cause, err)
		}
		select {
		case <-f.stop:
			return
		case <-every.C:
		}
	}
}

func (f *flood) goodClient(ctx context.Context, number int) error {
	c, err := f.connect(ctx, number, "0,0")
	if err != nil {
		return err
	}
	f.latency.add(int64(c.took))
	c.leave()
	return nil
}

// strangers opens all connections, Config.Parallel at a time, and waits until
// the last has ended.
func (f *flood) strangers(ctx context.Context) {
	f.Progress.phase("flooding", f.Strangers)
	slots := make(chan struct{}, f.Parallel)
	var all sync.WaitGroup
	defer all.Wait()
	for range f.Strangers {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() { f.stranger(ctx, func() { <-slots }) })
	}
}

// stranger opens a connection and sends nothing until it is closed. It calls
// answered when the server has accepted or rejected it.
func (f *flood) stranger(ctx context.Context, answered func()) {
	dialing, cancel := context.WithTimeout(ctx, f.target.Timeout)
	nc, _, err := f.target.dial(dialing)
	cancel()
	f.Progress.add(1)
	f.arrive(err)
	answered()
	if err != nil {
		return
	}
	opened := time.Now()
	// If the server does not close it in time, the read fails a second later.
	_ = nc.SetReadDeadline(opened.Add(f.Life + time.Second)) // our own socket supports deadlines
	defer context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Now()) })()
	_, _ = io.Copy(io.Discard, nc) // the reason does not matter
	f.leave(time.Since(opened))
	_ = nc.Close() // nothing was written
}

func (f *flood) arrive(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen.Strangers++
	var refused *client.HTTPError
	switch {
	case err == nil:
		f.seen.Admitted++
		f.now++
		f.seen.Most = max(f.seen.Most, f.now)
	case errors.As(err, &refused) && refused.Status == http.StatusTooManyRequests:
		f.seen.Refused++
	default:
		f.seen.Failed++
		f.failure = cmp.Or(f.failure, err)
	}
}

func (f *flood) leave(stayed time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	f.longest = max(f.longest, stayed)
	f.seen.Longest = round(f.longest.Seconds())
}

// judge adds the failures to the result.
func (f *flood) judge() {
	res, slowest := f.result, time.Duration(f.latency.max)
	if f.unserved > 0 {
		res.fail(fmt.Sprintf("%d good clients were not connected: %v", f.unserved, plain(f.cause)))
	}
	if slowest > f.Limit {
		res.fail(fmt.Sprintf("a good client took %v, more than %v", slowest.Round(time.Microsecond), f.Limit))
	}
	if f.seen.Most > f.Most {
		res.fail(fmt.Sprintf("%d strangers at a time, more than %d", f.seen.Most, f.Most))
	}
	if f.longest > f.Life {
		res.fail(fmt.Sprintf("a stranger stayed for %v, more than %v", f.longest.Round(time.Millisecond), f.Life))
	}
	switch {
	case f.seen.Failed == 0:
	case f.seen.Failed < f.seen.Strangers:
		res.Notes = append(res.Notes, fmt.Sprintf("%d strangers did not reach the server: %v", f.seen.Failed, plain(f.failure)))
	default:
		res.fail(fmt.Sprintf("no stranger reached the server: %v", plain(f.failure)))
	}
}
