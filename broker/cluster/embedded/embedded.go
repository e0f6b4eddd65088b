// Package embedded runs the engine that keeps messages and state on disk: a
// NATS server with JetStream inside this process. It opens no port, handles no
// signals, and is reached only through [Server.Connect].
//
//	engine, err := embedded.Start(ctx, embedded.Options{Dir: "/var/lib/hoofbeat"})
//	if err != nil {
//		return err
//	}
//	defer engine.Close()
//	conn, err := engine.Connect()
//
// It is the only package that imports nats-server: a program that does not
// import it does not link the server.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	defaultMemory  = 256 << 20
	defaultDisk    = 10 << 30
	defaultPayload = 1 << 20
	// headroom is what the engine and its users add to a message: the engine's
	// headers, and our encoding of the message's own.
	headroom = 64 << 10
	// stopTimeout is how long Close waits for the engine. Whatever has been
	// acknowledged is in the files, so a process that exits earlier loses
	// nothing.
	stopTimeout = 10 * time.Second
)

// Options configure a [Server]. Dir is required.
type Options struct {
	// Dir is the directory of the store. It is created if it does not exist.
	Dir string
	// SyncInterval is how often written data is forced to the disk. Zero, the
	// default, means before each answer: what was acknowledged survives a power
	// failure. With an interval a power failure loses up to that much; the death
	// of the process alone loses nothing.
	SyncInterval time.Duration
	// Memory limits what streams in memory may hold. Default 256 MiB.
	Memory int64
	// Disk limits the sum of the limits of all streams in the directory, and
	// what they hold. Default 10 GiB.
	Disk int64
	// Payload is the largest message of a user, in bytes. The engine accepts
	// 64 KiB more, for headers. Default 1 MiB.
	Payload int
	// Key encrypts the directory. Empty means no encryption.
	Key string
	// Logger receives the records of the engine: its notices at the level
	// Debug. Nil means no logging.
	Logger *slog.Logger
}

// Server is a running engine. All methods are safe for concurrent use.
type Server struct {
	o   Options
	log *logger

	mu     sync.Mutex
	engine *server.Server
	closed bool
}

// Start starts the engine, and returns when it has recovered what is in the
// directory, which takes time where much is. If ctx ends before, the engine is
// stopped and the error is that of ctx.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, errors.New("embedded: Options.Dir is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Memory = orDefault(o.Memory, defaultMemory)
	o.Disk = orDefault(o.Disk, defaultDisk)
	o.Payload = orDefault(o.Payload, defaultPayload)
	s := &Server{o: o, log: &logger{to: o.Logger}}
	var err error
	if s.engine, err = s.run(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func orDefault[T int | int64](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Connect returns a new connection to the engine. Use one connection for data
// and another for control, so that an acknowledgement never waits behind
// messages. The caller closes it.
//
// Publishing on a connection that has lost the engine fails at once, instead of
// waiting for the engine.
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	conn, err := nats.Connect("", append([]nats.Option{
		nats.InProcessServer(s),
		nats.Name("hoofbeat"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			s.log.connection(sub, err)
		}),
	}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the engine in this process: %w", err)
	}
	return conn, nil
}

// Health reports why the engine cannot store or deliver, or nil.
func (s *Server) Health() error {
	s.mu.Lock()
	engine := s.engine
	s.mu.Unlock()
	return healthOf(engine)
}

// Close stops the engine and waits until its files are closed, for at most ten
// seconds. It closes no connection of [Server.Connect]; close them before. It
// may be called again.
func (s *Server) Close() error {
	s.mu.Lock()
	engine := s.engine
	s.closed = true
	s.mu.Unlock()
	return stop(engine, stopTimeout)
}
