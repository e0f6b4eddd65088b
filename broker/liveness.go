package broker

import (
	"math"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/clock"
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
)

// never is the time of a check that is never due.
const never = math.MaxInt64

// newSweeper returns the clock of a broker. Its tick is an eighth of the
// shortest interval, between 5 and 250 ms, so that no check is late by more
// than that.
func newSweeper(o *Options) *clock.Sweeper[session] {
	shortest := 2 * time.Second
	for _, d := range []time.Duration{o.HeartBeat.Send, o.HeartBeat.Receive, o.HeartBeatPatience, o.PingInterval, o.WriteDeadline, o.ConnectDeadline, o.LingerTimeout} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	tick := max(shortest/8, 5*time.Millisecond)
	return clock.New(tick, max(o.HeartBeatPatience/10, 4*tick), slotOf)
}

func slotOf(s *session) *clock.Entry[session] { return &s.slot }

// runSweeper runs all time-dependent work: heart-beats, deadlines, liveness.
// Its goroutine never writes: it marks and enqueues, and the flusher writes.
func (b *Broker) runSweeper() {
	t := time.NewTicker(b.sweeper.Tick())
	defer t.Stop()
	for {
		select {
		case <-b.ctx.Done():
			if b.count() == 0 {
				return
			}
			// Sessions are still ending; Close aborts those that hang.
			<-t.C
		case <-t.C:
		}
		b.sweep(int64(time.Since(b.started)))
	}
}

// sweep checks every session that is due.
func (b *Broker) sweep(now int64) {
	bt := b.newBatch()
	for _, s := range b.sweeper.Advance(now) {
		if at := s.check(now, bt); at != never {
			b.sweeper.Schedule(s, at)
		}
	}
	bt.flushLater()
}

// check performs all time-dependent checks of a session, marks and enqueues
// whatever is due, and returns the time of the next check. It runs on the
// sweeper's goroutine.
func (s *session) check(now int64, bt *batch) int64 {
	switch phase(s.phase.Load()) {
	case phaseNew:
		if now < s.deadline {
			return s.deadline
		}
		s.end(s.tooLate(), "", bt)
		return never // end has rescheduled
	case phaseEnding:
		return s.checkGoodbye(now)
	}
	at := s.checkWriter(now, bt)
	at = min(at, s.checkExpiry(now, bt))
	at = min(at, s.checkCredential(now, bt))
	at = min(at, s.checkHeartBeat(now, bt))
	at = min(at, s.checkSilence(now, bt))
	at = min(at, s.checkPatience(now, bt))
	if phase(s.phase.Load()) == phaseEnding { // one of the checks has ended it
		return s.checkGoodbye(now)
	}
	return at
}

func (s *session) tooLate() *Error {
	return failure(ReasonConnectTimeout, "not connected within %v (limits.connect_deadline)", s.b.o.ConnectDeadline)
}

// lingers is the number of LingerTimeouts after which the connection of an
// ending session is aborted if its client still reads, but too slowly for the
// writer to notice.
const lingers = 5

// checkGoodbye aborts a connection if the peer neither reads the last bytes nor
// ends. A writer that waits for a large socket buffer makes progress only when
// a good part of the buffer is free, long after the client has begun to read,
// so checkGoodbye also checks the socket buffer. Its first check, at the end of
// the session, only gives the next one a value to compare with.
func (s *session) checkGoodbye(now int64) int64 {
	linger := int64(s.b.o.LingerTimeout)
	end := s.endAt.Load()
	at := end
	if progress, blocked := s.out.progressed(); blocked {
		at = max(at, progress+linger)
		if n, known := s.wire.Unsent(); known {
			if !s.measured || int64(n) < s.noticed {
				s.warned.Store(now)
			}
			s.measured, s.noticed = true, int64(n)
			at = max(at, min(s.warned.Load()+linger, end+(lingers-1)*linger))
		}
	}
	if now < at {
		return min(at, now+linger/2)
	}
	s.abort()
	return now + linger
}

// checkWriter ends a session whose writer has made no progress for too long.
func (s *session) checkWriter(now int64, bt *batch) int64 {
	limit := int64(s.b.o.WriteDeadline)
	s.out.mu.Lock()
	blocked, since := s.out.blocked, s.out.progress
	s.out.mu.Unlock()
	if !blocked || limit == 0 {
		return never
	}
	if now < since+limit {
		return since + limit
	}
	s.end(failure(ReasonSlowConsumer, "nothing was read for %v (limits.write_deadline)", s.b.o.WriteDeadline), "", bt)
	return never
}

// checkHeartBeat fulfils the `heart-beat` header: the broker must write
// something at least every sendEvery, so it sends a heart-beat a tenth of the
// interval early.
func (s *session) checkHeartBeat(now int64, bt *batch) int64 {
	if s.sendEvery == 0 {
		return never
	}
	every := s.sendEvery - max(s.sendEvery/10, 2*int64(s.b.sweeper.Tick()))
	s.out.mu.Lock()
	at := s.out.lastWrite + every
	s.out.mu.Unlock()
	if now < at {
		return at
	}
	s.out.beat(encode.HeartBeat(s.wire.Framing()), bt)
	return now + every
}

// checkSilence pings a silent client and ends the session if there is no
// answer. Any byte counts as a sign of life. The timers of a page in a
// background tab run once a minute, so the page may miss its own heart-beats,
// but the browser's network stack answers a WebSocket ping.
func (s *session) checkSilence(now int64, bt *batch) int64 {
	every, ping, interval := s.hearEvery, s.wire.Ping(), int64(s.b.o.PingInterval)
	first := 2 * every
	if ping != nil && interval > 0 {
		if every == 0 {
			every, first = interval, interval
		}
		first = min(first, interval) // proxies close silent connections, whatever was negotiated
	}
	if every == 0 {
		return never
	}
	heard := s.lastHeard.Load()
	if s.busy.Load() {
		heard = now
	}
	if now-heard < first {
		return heard + first
	}
	if s.noticed <= heard {
		s.noticed = now
		if ping != nil {
			s.out.push(ping, bt)
		}
	}
	// If the broker itself was kept from running, all its checks are late: the
	// session ends only after the peer has had enough time since the ping.
	end := max(heard+3*every, s.noticed+every/2)
	if now >= end {
		s.end(failure(ReasonHeartBeatTimeout, "nothing was heard for %v", time.Duration(3*every)), "", bt)
		return never
	}
	return min(end, now+first) // the peer may have answered by then
}

// checkPatience ends the session of a client that negotiated heart-beats but
// only answers pings: the system answers pings even for a page or a program
// that hangs. A page in the background sends its heart-beats late, but it does
// send them.
func (s *session) checkPatience(now int64, bt *batch) int64 {
	patience := s.b.o.HeartBeatPatience
	if patience == 0 || s.hearEvery == 0 {
		return never
	}
	patience = max(patience, time.Duration(3*s.hearEvery))
	since := max(int64(s.spoke.Load())*spokeUnit, s.b.sweeper.Steady())
	if s.busy.Load() {
		since = now
	}
	if at := since + int64(patience); now < at {
		return at
	}
	s.end(failure(ReasonHeartBeatTimeout, "no frame and no heart-beat was heard for %v (heartbeat.patience)", patience), "", bt)
	return never
}
