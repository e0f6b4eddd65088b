//go:build !nostore

package embedded

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"
)

const (
	// checkEvery is how often the engine is asked whether it can write. Within
	// two seconds of a write error a client must hear of it.
	checkEvery = 250 * time.Millisecond
	// maxDoubts is how often in succession the engine may lack a stream whose
	// files are there, before it counts as failed.
	maxDoubts = 8
	// Between two attempts to restart the engine.
	minRestartPause = 500 * time.Millisecond
	maxRestartPause = 15 * time.Second
)

// State returns the current state.
func (s *Server) State() State { return *s.state.Load() }

// Watch calls f with the current state, and with each state that follows, until
// stop is called or the Server is closed. The calls are in order and one at a
// time, on a goroutine of the Server. A state that was followed by another
// before f returned is left out. f must not call stop or [Server.Close], which
// wait for it.
func (s *Server) Watch(f func(State)) (stop func()) {
	ctx, cancel := context.WithCancel(s.life)
	done := make(chan struct{})
	watch := func() {
		defer close(done)
		var last State
		for first := true; ; first = false {
			changed := s.changed()
			if now := s.State(); first || now != last {
				last = now
				f(now)
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
	s.mu.Lock()
	if s.closed {
		go watch() // Close may not wait for it any more; it calls f once
	} else {
		s.working.Go(watch)
	}
	s.mu.Unlock()
	return func() { cancel(); <-done }
}

// changed returns a channel that is closed when the state changes.
func (s *Server) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change
}

// setState notes whether the engine of this process works. It is called with
// s.mu held. A closed Server stays closed.
func (s *Server) setState(err error) {
	if s.closed {
		return
	}
	s.own = err
	s.publish()
}

// setReach notes whether the cluster works.
func (s *Server) setReach(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.reach == err {
		return
	}
	s.reach = err
	s.publish()
}

// publish tells of a change, with s.mu held.
func (s *Server) publish() {
	err := s.own
	if err == nil {
		err = s.reach
	}
	s.state.Store(&State{Err: err, Run: s.run})
	close(s.change)
	s.change = make(chan struct{})
}

// Health reports why the engine cannot store or deliver, or nil. It asks the
// engine, so use it when an answer is overdue; [Server.State] is cheaper.
func (s *Server) Health() error {
	s.checkOwn()
	return s.State().Err
}

// checkOwn reports whether the engine of this process works.
func (s *Server) checkOwn() bool {
	engine := s.current()
	s.mu.Lock()
	own := s.own
	s.mu.Unlock()
	if engine == nil || own != nil {
		return false
	}
	if s.dir == nil {
		return true
	}
	writing, having := healthOf(engine)
	switch {
	case s.member != nil:
		s.member.setCurrent(having == nil)
	case having == nil:
		s.doubts.Store(0)
	case s.doubts.Add(1) >= maxDoubts:
		writing = errors.Join(writing, having)
	}
	if writing == nil {
		return true
	}
	s.fail(writing)
	return false
}

// fail makes the engine unavailable until it has been restarted.
func (s *Server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.own != nil {
		return
	}
	s.log.line(slog.LevelError, "the store cannot write, and is restarted when it can: %v", []any{err})
	s.setState(&unavailableError{"it cannot write to its disk"})
}

// supervise asks the engine whether it can write. After a write error the
// engine never answers a publication again, even if there is room, so it is
// restarted as soon as the disk takes data.
func (s *Server) supervise() {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var next time.Time
	pause := minRestartPause
	for {
		select {
		case <-s.life.Done():
			return
		case now := <-tick.C:
			switch {
			case s.checkOwn():
				if err := s.remember(s.current()); err != nil {
					s.fail(err)
				} else if now.Sub(next) > maxRestartPause {
					pause = minRestartPause
				}
			case !now.Before(next):
				if err := s.restart(); err != nil {
					s.log.line(slog.LevelError, "the store is still not available: %v", []any{err})
				}
				next = time.Now().Add(pause)
				pause = min(2*pause, maxRestartPause)
			}
		}
	}
}

// restart replaces the engine if a probe can be written.
func (s *Server) restart() error {
	if err := s.dir.probe(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.engine != nil {
		s.dying, s.engine = s.engine, nil // connections wait
	}
	s.mu.Unlock()
	if err := stop(s.dying, stopTimeout); err != nil {
		return err // two engines would destroy each other's files
	}
	s.dying = nil
	if err := forget(filepath.Join(s.dir.path, engineDir)); err != nil {
		return err
	}
	engine, err := s.start(s.life)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.dying = engine // Close stops it
		s.mu.Unlock()
		return nil
	}
	s.engine = engine
	s.run++
	s.setState(nil)
	s.mu.Unlock()
	s.log.line(slog.LevelWarn, "the store was restarted and is available again", nil)
	return nil
}
