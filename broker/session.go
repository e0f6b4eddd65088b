package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// phase is where a session stands in its life.
type phase uint32

const (
	phaseNew    phase = iota // before CONNECT
	phaseOpen                // CONNECTED was sent
	phaseEnding              // the goodbye is on its way; what still comes in is thrown away
)

// maxLinger is how many octets of a session that is ending are read and thrown
// away, so that its goodbye is not lost to a reset.
const maxLinger = 1 << 20

// A session is one client. Its state machine runs only in the goroutine that
// reads from its connection, so commands need no lock; others reach it through
// its outbox and through [session.end].
type session struct {
	b    *Broker
	id   string
	wire wire
	out  outbox

	// Of the reading goroutine.
	dec       frames.Decoder
	batch     *batch // while octets that came together are being handled
	subs      []*subscription
	ordinal   uint32
	tx        map[string]*transaction
	txBytes   int
	discarded int

	version   frames.Version
	principal atomic.Pointer[auth.Principal] // set before phaseOpen, replaced when renewed
	peer      netip.AddrPort
	admission *Admission // until CONNECTED
	joined    bool       // CONNECTED: in the user registry, known to observers
	opened    int64      // broker clock
	deadline  int64      // broker clock: CONNECTED before this
	sendEvery int64      // outgoing heart-beat, nanoseconds, 0 = none
	hearEvery int64      // incoming heart-beat

	phase      atomic.Uint32
	expireAt   atomic.Int64 // broker clock: when the credential runs out
	warned     atomic.Int64 // the expireAt that the client was told of
	leaving    atomic.Bool  // it revokes its own credential, and is not to be ended for that
	busy       atomic.Bool  // in user code: not reading, so silence proves nothing
	lastHeard  atomic.Int64 // broker clock
	pinged     int64        // broker clock of the last ping; the sweeper's
	endAt      atomic.Int64 // broker clock: when a goodbye that is not taken is cut short
	subscribed atomic.Int32 // len(subs), for others
	unacked    atomic.Int32
	consumers  []*queueConsumer // guarded by the outbox's lock, replaced and never changed
	slot       wheelSlot

	endMu  sync.Mutex
	failed *Error
	ctx    context.Context
	cancel context.CancelFunc
}

// newSession registers a session for a connection that was let in.
func (b *Broker) newSession(w wire, a *Admission) (*session, error) {
	if err := b.accepting(); err != nil {
		return nil, err
	}
	s := &session{b: b, id: uuid.NewString(), wire: w, peer: a.remote, admission: a}
	if !s.peer.IsValid() {
		s.peer = w.remote()
	}
	s.out.s, s.out.wire = s, w
	l := b.o.Limits
	s.dec.SetLimits(frames.Limits{Frame: frameLimit(min(l.UnauthenticatedFrame, l.Frame)), Headers: min(20, l.Headers), HeaderBytes: frameLimit(l.HeaderBytes)})
	now := b.now()
	s.opened = now
	s.lastHeard.Store(now)
	s.expireAt.Store(never)
	s.deadline = never
	if d := b.o.ConnectDeadline; d > 0 {
		s.deadline = now + int64(d)
	}
	if err := b.addSession(s); err != nil {
		return nil, err
	}
	b.sweeper.reschedule(s, s.deadline)
	return s, nil
}

// frameLimit translates "no limit" to the decoder's way of saying it.
func frameLimit(n int) int {
	if n == unlimited {
		return -1
	}
	return n
}

// run is the life of the session in its reading goroutine.
func (s *session) run() {
	err := s.wire.receive(s)
	bt := s.work()
	s.ended(err, bt)
	s.cleanUp(bt)
	s.batchEnd()
}

// ended turns what ended receive into the session's reason.
func (s *session) ended(err error, bt *batch) {
	var (
		f        *Error
		closing  *wsconn.CloseError
		protocol *wsconn.ProtocolError
	)
	switch {
	case errors.As(err, &f):
		s.end(f, "", bt)
	case errors.As(err, &closing):
		text := fmt.Sprintf("closed by the client with code %d", closing.Code)
		s.end(&Error{Reason: ReasonDisconnect, Message: text, ClientCode: closing.Code}, "", bt)
	case errors.As(err, &protocol):
		s.end(&Error{Reason: reasonOfCode(protocol.Code), Message: protocol.Reason}, "", bt)
	case errors.Is(err, io.EOF):
		s.end(&Error{Reason: ReasonConnectionLost, Message: "the client closed the connection"}, "", bt)
	default:
		s.lost(bt)
	}
}

func reasonOfCode(code int) Reason {
	switch code {
	case 1007:
		return ReasonInvalidText
	case 1009:
		return ReasonTooBig
	}
	return ReasonProtocolError
}

// work returns the batch of what is being handled now.
func (s *session) work() *batch {
	if s.batch == nil {
		s.batch = s.b.newBatch()
	}
	return s.batch
}

// batchEnd follows everything that arrived together: what it touched is written.
func (s *session) batchEnd() {
	if s.batch != nil {
		s.batch.flush()
		s.batch.release()
		s.batch = nil
	}
}

func (s *session) heard() { s.lastHeard.Store(s.b.now()) }

// data handles octets of STOMP, cut in any way.
func (s *session) data(p []byte) error {
	if phase(s.phase.Load()) == phaseEnding {
		return s.discard(len(p))
	}
	bt := s.work()
	s.b.stats.bytesIn.Add(int64(len(p)))
	s.dec.Feed(p)
	for {
		f, ok, err := s.dec.Next()
		if err != nil {
			s.end(decodeFailure(err), "", bt)
			return nil
		}
		if !ok {
			return nil
		}
		s.b.stats.framesIn.Add(1)
		if fail := s.guarded(f, bt); fail != nil && !s.softly(fail, f, bt) {
			s.end(fail, f.Get(frames.HeaderReceipt), bt)
		}
		if phase(s.phase.Load()) == phaseEnding {
			return nil
		}
	}
}

// guarded handles a frame. A panic, which can only come from user code, ends this
// session and no other.
func (s *session) guarded(f *frames.Frame, bt *batch) (fail *Error) {
	defer func() {
		if v := recover(); v != nil {
			s.b.o.Logger.Error("a handler or hook panicked", "session", s.id, "panic", v, "stack", string(debug.Stack()))
			fail = failure(ReasonInternalError, "internal error")
		}
	}()
	return s.command(f, bt)
}

func decodeFailure(err error) *Error {
	var limit *frames.LimitError
	if errors.As(err, &limit) {
		return &Error{Reason: ReasonTooBig, Message: limit.Error()}
	}
	var syntax *frames.SyntaxError
	if errors.As(err, &syntax) {
		return &Error{Reason: ReasonProtocolError, Message: syntax.Error()}
	}
	return &Error{Reason: ReasonProtocolError, Message: "malformed frame"}
}

func (s *session) discard(n int) error {
	s.discarded += n
	if s.discarded > maxLinger {
		return io.EOF
	}
	return nil
}

// user runs code of the program, which may block: what was touched is written
// first, and silence of the client meanwhile means nothing.
func (s *session) user(bt *batch, f func(ctx context.Context)) {
	bt.flush()
	s.busy.Store(true)
	defer func() {
		s.heard()
		s.busy.Store(false)
	}()
	f(s.context())
}

// tell calls the observers about this session, as user code.
func (s *session) tell(bt *batch, f func(*Observer)) {
	if len(s.b.watchers.current()) == 0 {
		return
	}
	bt.flush()
	s.busy.Store(true)
	s.b.observe(f)
	s.heard()
	s.busy.Store(false)
}

// context returns a context that ends with the session.
func (s *session) context() context.Context {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancel(s.b.ctx)
		if s.failed != nil {
			s.cancel()
		}
	}
	return s.ctx
}

// dropContext lets go of the context that CONNECT needed: most sessions never
// need one again, and it is half a kilobyte.
func (s *session) dropContext() {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	if s.ctx != nil {
		s.cancel()
		s.ctx, s.cancel = nil, nil
	}
}

// end ends the session for a reason; the first reason wins. Anybody may call
// it. The client is told why as far as it still can be, and the reading
// goroutine is left to clean up.
func (s *session) end(f *Error, receipt string, bt *batch) {
	s.endMu.Lock()
	if s.failed != nil {
		s.endMu.Unlock()
		return
	}
	s.failed = f
	if s.cancel != nil {
		s.cancel()
	}
	s.endMu.Unlock()
	s.endAt.Store(s.b.now() + int64(s.b.o.LingerTimeout))
	before := phase(s.phase.Swap(uint32(phaseEnding)))
	s.b.stats.ended(f.Reason)

	switch f.Reason {
	case ReasonConnectionLost:
		s.out.close(nil, false, bt)
		return
	case ReasonSlowConsumer:
		if s.out.close(s.goodbye(f, receipt, before), true, bt) {
			s.wire.abort() // in the middle of a frame nothing can be said any more
		}
	default:
		s.out.close(s.goodbye(f, receipt, before), false, bt)
	}
	s.b.sweeper.reschedule(s, s.endAt.Load())
}

// endNow is end for callers that have no batch.
func (s *session) endNow(f *Error) {
	bt := s.b.newBatch()
	s.end(f, "", bt)
	bt.flushLater()
}

// goodbye returns the last frames for the client.
func (s *session) goodbye(f *Error, receipt string, before phase) [][]byte {
	var out [][]byte
	version := frames.Unnegotiated
	if before == phaseOpen {
		version = s.version
	}
	if f.Reason != ReasonDisconnect && f.Reason != ReasonDraining {
		fr := frames.Frame{Command: frames.CommandError, Headers: []frames.Header{{Name: frames.HeaderMessage, Value: f.Message}}}
		if receipt != "" {
			fr.Headers = append(fr.Headers, frames.Header{Name: frames.HeaderReceiptID, Value: receipt})
		}
		if before == phaseNew && f == errVersion {
			fr.Headers = append(fr.Headers, frames.Header{Name: frames.HeaderVersion, Value: frames.SupportedVersions})
		}
		fr.Headers = append(fr.Headers, frames.Header{Name: frames.HeaderContentType, Value: "text/plain"})
		fr.Body = []byte(f.Message)
		out = append(out, encodeFrame(s.wire.framing(), version, &fr))
	}
	if c := s.wire.goodbye(f.Reason.CloseCode(), f.Reason.String()); c != nil {
		out = append(out, c)
	}
	return out
}

// finish is called when the goodbye was written.
func (s *session) finish() {
	f := s.cause()
	s.wire.finish(s.b.o.LingerTimeout, f.Reason.CloseCode(), f.Reason.String())
}

// lost ends a session whose connection broke.
func (s *session) lost(bt *batch) {
	s.end(&Error{Reason: ReasonConnectionLost, Message: "the connection was lost"}, "", bt)
	s.out.drop()
	s.wire.abort()
}

// cause returns why the session ended.
func (s *session) cause() *Error {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	if s.failed == nil {
		return &Error{Reason: ReasonNone}
	}
	return s.failed
}

// cleanUp takes the session out of everything. It runs in the reading goroutine
// after the connection has ended.
func (s *session) cleanUp(bt *batch) {
	s.b.sweeper.remove(s)
	for _, sub := range s.subs {
		s.drop(sub, bt)
	}
	s.subs, s.tx = nil, nil
	s.dec.Release()
	if s.joined {
		s.b.leave(s)
	} else {
		s.abandonAdmission()
	}
	s.b.removeSession(s)
	bt.flush()
	s.waitWritten(bt)
	s.wire.drain()
	s.wire.shut()
	f := s.cause()
	if s.joined {
		s.tell(bt, func(o *Observer) {
			if o.Disconnected != nil {
				o.Disconnected(s.info(), f)
			}
		})
	}
	s.b.o.Logger.Debug("session ended", "session", s.id, "user", s.userName(), "remote", s.peer, "reason", f.Reason, "detail", f.Message)
}

// waitWritten lets the last octets out, within LingerTimeout: a client that
// half-closes its connection may still read.
func (s *session) waitWritten(bt *batch) {
	s.out.flush(bt)
	idle := s.out.whenIdle()
	if idle == nil {
		return
	}
	timer := time.NewTimer(s.b.o.LingerTimeout)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		s.wire.abort()
		<-idle
	}
}

// abandon undoes newSession for a session that never ran.
func (s *session) abandon() {
	s.b.sweeper.remove(s)
	s.abandonAdmission()
	s.b.removeSession(s)
	s.wire.abort()
	s.wire.shut()
}

func (s *session) abandonAdmission() {
	if s.admission != nil {
		s.admission.Release()
		s.admission = nil
	}
}

func (s *session) userName() string {
	if p := s.principal.Load(); p != nil {
		return p.Name
	}
	return ""
}
