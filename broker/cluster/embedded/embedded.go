//go:build !nostore

// Package embedded runs the engine that keeps messages and state on disk: a
// NATS server with JetStream inside this process. It opens no port, handles no
// signals, and is reached only through [Server.Connect]. With [Options.Cluster]
// it is one of several, which keep the same together, and listens for them.
//
//	engine, err := embedded.Start(ctx, embedded.Options{Dir: "/var/lib/hoofbeat"})
//	if err != nil {
//		return err
//	}
//	defer engine.Close()
//	conn, err := engine.Connect()
//
// The engine does not survive a full disk or a write error. So its users ask
// [Server.Room] before they store a message, and learn from [Server.Watch] when
// it cannot write and when it was restarted.
//
// It is the only package that imports nats-server: a program that does not
// import it does not link the server. Neither does one that is built with the
// tag nostore: then Start returns [ErrLeftOut].
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
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
	// stopTimeout is how long Close waits for the engine, and perConsumer longer for
	// each of its consumers. Whatever has been acknowledged is in the files, so a
	// process that exits earlier loses nothing.
	stopTimeout = 10 * time.Second
)

// Server is an engine that runs, or that is restarted once the disk takes data
// again. All methods are safe for concurrent use.
type Server struct {
	o   Options
	log *logger
	dir *directory
	// checking does not count as a run.
	checking bool

	member *member // nil if it is alone

	life    context.Context // until Close
	end     context.CancelFunc
	working sync.WaitGroup
	dying   *server.Server // the last engine, until it has stopped; of supervise

	state  atomic.Pointer[State]
	doubts atomic.Int32
	room   room

	mu     sync.Mutex
	engine *server.Server // nil while it is restarted
	own    error          // why this engine does not work, or nil
	reach  error          // why the cluster does not, or nil
	run    int            // engines started
	change chan struct{}  // closed by the next change of state
	closed bool

	node     string
	runs     uint64
	files    sync.Mutex // guards manifest and its file
	manifest *manifest
	ends     map[string]uint64 // those of the manifest, until the first engine has started

	gate      gate
	exporting atomic.Bool
}

// Start starts the engine, and returns when it has recovered what is in the
// directory, which takes time where much is. If ctx ends before, the engine is
// stopped and the error is that of ctx. An error about an option is an
// [*OptionError], and says what to do.
//
// In a cluster it does not wait for the others: until they are there the state
// has an error, see [Server.Await], and what needs them waits.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := newServer(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// newServer locks the directory.
func newServer(ctx context.Context, o Options) (*Server, error) {
	if o.Dir == "" && o.Cluster == nil {
		return nil, dirError("is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Memory = orDefault(o.Memory, defaultMemory)
	o.Disk = orDefault(o.Disk, defaultDisk)
	o.Payload = orDefault(o.Payload, defaultPayload)
	s := &Server{o: o, log: &logger{to: o.Logger}, change: make(chan struct{}), own: &unavailableError{"it is starting"}}
	if o.Cluster != nil {
		m, err := newMember(*o.Cluster, o.Dir != "", s.log)
		if err != nil {
			return nil, err
		}
		s.member, s.log.member, s.reach = m, m, errNoMajority
	}
	if o.Dir != "" {
		dir, err := openDirectory(ctx, o.Dir)
		if err != nil {
			return nil, err
		}
		s.dir = dir
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.room.reserve.Store(o.Reserve)
	s.state.Store(&State{Err: s.own})
	return s, nil
}

// begin starts the engine, and gives the directory back if it cannot.
func (s *Server) begin(ctx context.Context) error {
	open := s.open
	if s.dir == nil {
		open = s.openEdge
	}
	if err := open(ctx); err != nil {
		s.end()
		return errors.Join(err, s.closeDirectory())
	}
	if s.member != nil {
		if err := s.member.listen(s); err != nil {
			return errors.Join(err, s.Close())
		}
		s.working.Go(s.attend)
	}
	if s.dir != nil {
		s.working.Go(s.supervise)
	}
	return nil
}

// closeDirectory gives the directory back, if there is one.
func (s *Server) closeDirectory() error {
	if s.dir == nil {
		return nil
	}
	return s.dir.close()
}

func orDefault[T int | int64](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// open reads the manifest, or makes it, and starts the first engine.
func (s *Server) open(ctx context.Context) error {
	if err := os.RemoveAll(filepath.Join(s.dir.path, momentName)); err != nil { // of a process that was killed
		return dirError("%w", err)
	}
	m, err := s.dir.readManifest()
	if err != nil {
		return err
	}
	if err := s.checkMember(m); err != nil {
		return err
	}
	if m == nil {
		m = newManifest(s.o.Key)
		m.join(s.member)
	}
	if err := s.rekey(ctx, m); err != nil {
		return err
	}
	if err := m.checkKey(s.o.Key); err != nil {
		return err
	}
	// Whatever happens from now on, the ends are true no longer: a process that
	// is killed must not find damage next time.
	s.ends, m.Ends = m.Ends, nil
	if !s.checking {
		m.Runs++
	}
	if !s.checking || len(s.ends) > 0 {
		if err := s.dir.writeManifest(m); err != nil {
			return diskError(s.dir.path, err)
		}
	}
	if len(s.ends) == 0 && len(m.Streams) > 0 {
		s.log.line(slog.LevelInfo, "the store was not closed the last time, as after kill -9, a crash or a power cut: its indexes are made anew from its messages", nil)
	}
	s.manifest, s.node, s.runs = m, m.Node, m.Runs
	engine, err := s.start(ctx)
	if err != nil {
		return err
	}
	s.ends = nil
	s.mu.Lock()
	s.engine, s.run = engine, 1
	s.setState(nil)
	s.mu.Unlock()
	return s.remember(engine)
}

// Node returns the id of the node that the directory belongs to: twelve
// lower-case letters and digits, which never change. Message-ids can begin with
// it.
func (s *Server) Node() string { return s.node }

// Runs returns how often an engine was started with this directory by a
// [Start], this one included. Together with Node it tells the ids of one run
// from those of others.
func (s *Server) Runs() uint64 { return s.runs }

// Connect returns a new connection to the engine. Use one connection for data
// and another for control, so that an acknowledgement never waits behind
// messages. The caller closes it.
//
// A connection outlives a restart of the engine. Until it is connected again,
// publishing on it fails at once.
func (s *Server) Connect(options ...nats.Option) (*nats.Conn, error) {
	user, password := "", ""
	if s.member != nil {
		user, password = s.member.user, s.member.password
	}
	conn, err := nats.Connect("", append([]nats.Option{
		nats.InProcessServer(s),
		nats.UserInfo(user, password),
		nats.Name("hoofbeat"),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			return min(time.Duration(attempts)*20*time.Millisecond, 250*time.Millisecond)
		}),
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

// Close stops the engine and waits until its files are closed, for at most ten
// seconds, and 20 ms more for each consumer: a store with a thousand queues that
// are read has a thousand. It closes no connection of [Server.Connect]; close them
// before. It may be called again.
func (s *Server) Close() error {
	s.mu.Lock()
	again, failed := s.closed, s.own != nil
	s.setState(errClosed)
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.working.Wait()
	if again {
		return nil
	}
	if s.member != nil {
		s.member.leave()
	}
	s.mu.Lock()
	engine := s.engine
	s.mu.Unlock()
	if engine == nil || s.dir == nil {
		return errors.Join(stop(engine, stopTimeout), stop(s.dying, stopTimeout), s.closeDirectory())
	}
	err := s.remember(engine)
	ends := endsOf(engine)
	if stopped := errors.Join(stop(engine, stopTimeout), stop(s.dying, stopTimeout)); stopped != nil || failed {
		return errors.Join(err, stopped, s.dir.close())
	}
	return errors.Join(err, s.closeManifest(ends), s.dir.close())
}
