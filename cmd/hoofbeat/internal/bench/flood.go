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

// Flood is strangers that open connections from many addresses and never send
// CONNECT, while good clients connect one after another. Only for a server on
// 127.0.0.0/8.
type Flood struct {
	// Strangers is how many. Default 10000.
	Strangers int
	// Limit is how long a good client may take from dialling to CONNECTED.
	// Default 100 ms.
	Limit time.Duration
	// Most is how many strangers may be connected at a time: as many as the server
	// allows, and some that it is just sending away. Default 2048.
	Most int
	// Life is how long a stranger may stay. Default 6 s.
	Life time.Duration
}

const (
	floodSources = 10_000                // addresses that strangers come from
	goodEvery    = 50 * time.Millisecond // between two good clients
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
	// The first one alone: a server that is not there or refuses is an error.
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
	res.GeneratorCPUPerMillion = 0 // good clients are not what it works for
	res.Latency, res.Flood = f.latency.latency(), &f.seen
	f.judge()
	return nil
}

// flood is a run of it.
type flood struct {
	*Flood
	*run
	stop chan struct{} // no further good clients

	latency  histogram // of good clients; theirs alone until stop is closed
	unserved int       // good clients that were not connected
	cause    error     // of the first one

	mu      sync.Mutex
	seen    Flooded
	now     int // strangers that are connected
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

// strangers opens all connections, Config.Parallel at a time, and waits until the
// last has ended.
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

// stranger opens a connection and says nothing until it is closed. It calls
// answered when the server has decided.
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
	// A server that does not end it is found out a second later.
	_ = nc.SetReadDeadline(opened.Add(f.Life + time.Second)) // a socket of ours takes deadlines
	defer context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Now()) })()
	_, _ = io.Copy(io.Discard, nc) // how it ended does not matter
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

// judge says what was wrong.
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
