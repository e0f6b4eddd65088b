//go:build !nostore

package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

var errClosed = &unavailableError{"it is closed"}

// start starts an engine and checks that it has recovered everything that the
// directory is known to hold. The engine alone would go on without a stream
// that it cannot read.
func (s *Server) start(ctx context.Context) (*server.Server, error) {
	if missing, err := s.missing(); err != nil {
		return nil, dirError("%w", err)
	} else if len(missing) > 0 && s.member != nil {
		s.log.Warnf("%s has no files of what it held, which come from the other store nodes again: %s", s.dir.path, strings.Join(missing, ", "))
	} else if len(missing) > 0 {
		return nil, dirError("%s has no files of what it held: %s. Restore the whole directory from a backup, or begin with an empty one", s.dir.path, strings.Join(missing, ", "))
	}
	if err := s.checkFiles(); err != nil {
		return nil, err
	}
	engine, err := s.launch(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.checkEnds(engine); err != nil {
		return nil, errors.Join(err, stop(engine, stopTimeout))
	}
	writing, having := healthOf(engine)
	if s.member != nil {
		having = nil // it comes from the others
	}
	if err := errors.Join(writing, having); err != nil {
		return nil, errors.Join(dirError("%s is damaged: %w. Restore the whole directory from a backup. `hoofbeat store check` shows what can be read", s.dir.path, err), stop(engine, stopTimeout))
	}
	return engine, nil
}

// launch starts one nats-server and waits until it has recovered its streams.
func (s *Server) launch(ctx context.Context) (*server.Server, error) {
	options, err := s.options()
	if err != nil {
		return nil, err
	}
	engine, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("starting the store in %s: %w", s.o.Dir, err)
	}
	log := &logger{to: s.log.to, recovered: s.counting(), member: s.member, killed: len(s.ends) == 0}
	engine.SetLoggerV2(log, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		engine.Start()
	}()
	select {
	case <-started:
	case <-ctx.Done():
		<-started // it cannot be stopped before
		return nil, errors.Join(context.Cause(ctx), stop(engine, stopTimeout))
	}
	// Start has no result. It reports its failure to the log only.
	if text := log.failure(); text != "" {
		return nil, errors.Join(dirError("starting the store in %s: %s", s.o.Dir, text), stop(engine, stopTimeout))
	}
	if s.member != nil {
		if err := s.member.ready(ctx, engine, log); err != nil {
			return nil, errors.Join(err, stop(engine, stopTimeout))
		}
	}
	text := log.damage()
	if text == "" && len(s.ends) > 0 {
		if text = log.changed(); text != "" {
			text = "files of messages were changed or removed while the store was closed (" + text + ")"
			if err := s.keepDamage(text); err != nil {
				return nil, errors.Join(err, stop(engine, stopTimeout))
			}
		}
	}
	if text != "" {
		return nil, errors.Join(dirError("%s is damaged: %s. %s", s.dir.path, text, s.remedy()), stop(engine, stopTimeout))
	}
	return engine, nil
}

// counting returns what counts the recovered streams.
func (s *Server) counting() func() {
	if s.o.Recovering == nil || s.run > 0 || s.manifest == nil {
		return nil
	}
	var done atomic.Int64
	of := len(s.manifest.Streams)
	s.o.Recovering(0, of)
	return func() { s.o.Recovering(int(done.Add(1)), of) }
}

// options are those of a server that nobody but this process reaches. Limits
// are always set: the server's own defaults depend on the memory and the disk
// that are free when it starts.
func (s *Server) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: "hoofbeat", DontListen: true, NoSigs: true, NoLog: true, DisableJetStreamBanner: true,
		MaxPayload: int32(s.o.Payload + headroom), MaxPending: 256 << 20, MaxControlLine: 8 << 10, //nolint:gosec // both are small
	}
	if s.dir != nil {
		o.JetStream, o.StoreDir, o.JetStreamMaxMemory, o.JetStreamMaxStore = true, s.dir.path, s.o.Memory, s.o.Disk
		o.SyncAlways, o.SyncInterval = s.o.SyncInterval <= 0, s.o.SyncInterval
		o.JetStreamKey = s.o.Key
		o.JetStreamLimits = server.JSLimitOpts{DefaultMaxConsumers: -1}
	}
	if s.member != nil {
		return o, s.member.options(o)
	}
	return o, nil
}

// InProcessConn returns one end of a pipe to the engine. It makes Server a
// provider of connections for nats.go; use [Server.Connect].
func (s *Server) InProcessConn() (net.Conn, error) {
	engine := s.current()
	if engine == nil {
		return nil, s.State().Err
	}
	conn, err := engine.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &gated{conn, &s.gate}, nil
}

// current returns the running engine, or nil.
func (s *Server) current() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	return s.engine
}

// healthOf asks an engine whether it can write to all its streams, and whether it
// has a stream for all files. While a stream is created or deleted, or the process
// waits for a processor, the second can fail for a moment.
func healthOf(engine *server.Server) (writing, having error) {
	if !engine.Running() {
		return errClosed, nil
	}
	var failed, lost []error
	for _, e := range healthErrors(func() []server.HealthzError {
		return engine.Healthz(&server.HealthzOptions{Details: true}).Errors
	}) {
		switch {
		case strings.HasPrefix(e.Stream, "."): // is being deleted
		case e.Type == server.HealthzErrorJetStream && metaElsewhere(e.Error),
			e.Type != server.HealthzErrorConn && e.Type != server.HealthzErrorJetStream && engine.JetStreamIsClustered() && !strings.Contains(e.Error, "write error"):
			lost = append(lost, errors.New(e.Error)) // it comes from the others
		case e.Type == server.HealthzErrorConn,
			e.Type == server.HealthzErrorStream && !strings.Contains(e.Error, "write error: "):
			lost = append(lost, errors.New(e.Error))
		default:
			failed = append(failed, errors.New(e.Error))
		}
	}
	return errors.Join(failed...), errors.Join(lost...)
}

// metaElsewhere tells what is the matter with the cluster, not with this engine.
func metaElsewhere(text string) bool {
	return strings.HasSuffix(text, "meta leader") || strings.Contains(text, "still recovering")
}

// healthErrors asks the engine about its health. The engine first looks whether it
// has started, and gives itself a millisecond for that: a process that does not
// get a processor for so long hears that it has not, and nothing else. So it is
// asked again.
func healthErrors(ask func() []server.HealthzError) (list []server.HealthzError) {
	for range 100 {
		list = ask()
		if len(list) != 1 || list[0].Type != server.HealthzErrorConn {
			break
		}
	}
	return list
}

// usageOf fills in what the engine knows.
func usageOf(engine *server.Server, u *Usage) {
	if engine == nil {
		return
	}
	info, err := engine.Jsz(nil)
	if err != nil {
		return // only for options that were not given
	}
	u.Stored, u.Memory, u.Reserved = int64(info.Store), int64(info.Memory), int64(info.ReservedStore) //nolint:gosec // below the limits
	u.Streams, u.Messages = info.Streams, info.Messages
}

// streamUsage returns what each stream takes.
func streamUsage(engine *server.Server) []StreamUsage {
	all := []StreamUsage{}
	if engine == nil {
		return all
	}
	info, err := engine.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Config: true})
	if err != nil {
		return all // only for options that are wrong
	}
	for _, a := range info.AccountDetails {
		for _, stream := range a.Streams {
			u := StreamUsage{Name: stream.Name, Messages: stream.State.Msgs, Bytes: stream.State.Bytes, Limit: -1}
			if stream.Config != nil && stream.Config.MaxBytes > 0 {
				u.Limit = stream.Config.MaxBytes
			}
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b StreamUsage) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// streamsOf returns the names of the streams that an engine has.
func streamsOf(engine *server.Server) (map[string]bool, error) {
	info, err := engine.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, a := range info.AccountDetails {
		for _, stream := range a.Streams {
			names[stream.Name] = true
		}
	}
	return names, nil
}

// perConsumer is what the engine may take to stop one consumer: it stops one after
// another, and sleeps for 10 ms if the goroutine that writes the consumer's file
// has not ended at once.
const perConsumer = 20 * time.Millisecond

// patienceWith returns how long an engine may take to stop: longer for each of its
// consumers.
func patienceWith(engine *server.Server, timeout time.Duration) time.Duration {
	info, err := engine.Jsz(nil)
	if err != nil {
		return timeout // only for options that were not given
	}
	return timeout + time.Duration(info.Consumers)*perConsumer
}

// stop ends a server and waits for its goroutines, but not for ever.
func stop(engine *server.Server, timeout time.Duration) error {
	if engine == nil {
		return nil
	}
	timeout = patienceWith(engine, timeout)
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
