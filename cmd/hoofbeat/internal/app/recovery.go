package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/admin"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// extendEvery is how often systemd hears that the start is still going on, and
// extendBy how long it waits for the next word.
const (
	extendEvery = 10 * time.Second
	extendBy    = time.Minute
)

// recovery is the time in which the store is opened. The admin listener says so
// in /readyz; the listeners of clients are not open yet, so that balancers and
// clients look elsewhere.
type recovery struct {
	began    time.Time
	done, of atomic.Int64 // streams
	// engine is set when it runs and the other nodes are waited for.
	engine atomic.Pointer[embedded.Server]

	listener net.Listener // nil without the admin listener
	lent     *lent
	server   *listener
	served   chan struct{}
	cancel   context.CancelFunc // of the words to systemd
	told     chan struct{}
}

// recovering begins to say that the store is opened, until recovered.
func (a *App) recovering() (*recovery, error) {
	r := &recovery{began: time.Now(), served: make(chan struct{}), told: make(chan struct{})}
	if address := a.o.Config.Admin; address != "" {
		l, err := listen(address)
		if err != nil {
			return nil, listenError("admin", address, err)
		}
		r.listener, r.lent = l, &lent{Listener: l}
		r.server = a.web("admin", &plainText{Listener: r.lent, key: "admin", away: a.away}, admin.Starting(r.reason), newAdminCrowd(openFiles(), a.o.Logger))
	}
	go func() {
		defer close(r.served)
		if r.server != nil {
			_ = r.server.serve() // a listener that is broken fails again in Run
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.told)
		a.askForTime(ctx, r)
	}()
	return r, nil
}

// progress is how many streams of the store can be read.
func (r *recovery) progress(done, of int) {
	r.done.Store(int64(done))
	r.of.Store(int64(of))
}

// reason is that of /readyz.
func (r *recovery) reason() error {
	took := time.Since(r.began).Round(time.Second)
	if engine := r.engine.Load(); engine != nil {
		return formingReason(engine.Status(), took)
	}
	if of := r.of.Load(); of > 0 {
		return fmt.Errorf("recovering the store: %d of %d streams, for %v", r.done.Load(), of, took)
	}
	return fmt.Errorf("recovering the store, for %v", took)
}

// askForTime keeps systemd from taking a long recovery for a failed start.
func (a *App) askForTime(ctx context.Context, r *recovery) {
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		a.notify(fmt.Sprintf("STATUS=%v\nEXTEND_TIMEOUT_USEC=%d", r.reason(), extendBy.Microseconds()))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// recovered stops saying so, and returns the admin listener, which goes on to take
// connections.
func (a *App) recovered(r *recovery) net.Listener {
	r.cancel()
	<-r.told
	a.notify("STATUS=")
	if r.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), httpShutdownTimeout)
	defer cancel()
	r.server.close(ctx)
	<-r.served
	r.lent.giveBack()
	return r.listener
}

// lent is a listener that somebody uses who may close it, without closing it.
type lent struct {
	net.Listener
	ended atomic.Bool
}

// Accept returns net.ErrClosed after Close.
func (l *lent) Accept() (net.Conn, error) {
	if l.ended.Load() {
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil && l.ended.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

// Close ends Accept.
func (l *lent) Close() error {
	l.ended.Store(true)
	return l.setDeadline(time.Unix(1, 0))
}

// giveBack lets the owner accept again.
func (l *lent) giveBack() { _ = l.setDeadline(time.Time{}) } // fails only if it is closed

func (l *lent) setDeadline(t time.Time) error {
	d, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return errors.New("a listener without deadlines")
	}
	return d.SetDeadline(t)
}
