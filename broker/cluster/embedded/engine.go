package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

var errClosed = errors.New("the store is closed")

// run starts one nats-server and waits until it has recovered its streams.
func (s *Server) run(ctx context.Context) (*server.Server, error) {
	engine, err := server.NewServer(s.options())
	if err != nil {
		return nil, fmt.Errorf("starting the store in %s: %w", s.o.Dir, err)
	}
	log := &logger{to: s.log.to}
	engine.SetLoggerV2(log, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		engine.Start()
	}()
	select {
	case <-started:
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), stop(engine, stopTimeout))
	}
	// Start has no result. It reports its failure to the log only.
	if text := log.failure(); text != "" {
		return nil, errors.Join(fmt.Errorf("starting the store in %s: %s", s.o.Dir, text), stop(engine, stopTimeout))
	}
	return engine, nil
}

// options are those of a server that nobody but this process reaches. Limits
// are always set: the server's own defaults depend on the memory and the disk
// that are free when it starts.
func (s *Server) options() *server.Options {
	return &server.Options{
		ServerName: "hoofbeat", DontListen: true, NoSigs: true, NoLog: true, DisableJetStreamBanner: true,
		MaxPayload: int32(s.o.Payload + headroom), MaxPending: 256 << 20, MaxControlLine: 8 << 10, //nolint:gosec // both are small
		JetStream: true, StoreDir: s.o.Dir, JetStreamMaxMemory: s.o.Memory, JetStreamMaxStore: s.o.Disk,
		SyncAlways: s.o.SyncInterval <= 0, SyncInterval: s.o.SyncInterval,
		JetStreamKey:    s.o.Key,
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1},
	}
}

// InProcessConn returns one end of a pipe to the engine. It makes Server a
// provider of connections for nats.go; use [Server.Connect].
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	engine, closed := s.engine, s.closed
	s.mu.Unlock()
	if closed || engine == nil {
		return nil, errClosed
	}
	return engine.InProcessConn()
}

func healthOf(engine *server.Server) error {
	if engine == nil {
		return errClosed
	}
	if h := engine.Healthz(&server.HealthzOptions{}); h.Error != "" {
		return errors.New(h.Error)
	}
	if !engine.Running() {
		return errClosed
	}
	return nil
}

// stop ends a server and waits for its goroutines, but not for ever: the time
// grows with the number of consumers.
func stop(engine *server.Server, timeout time.Duration) error {
	if engine == nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		engine.Shutdown()
		engine.WaitForShutdown()
	}()
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-done:
		return nil
	case <-late.C:
		return fmt.Errorf("the store did not stop within %v", timeout)
	}
}
