package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
	"github.com/hoofbeat/hoofbeat/broker/internal/clock"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
	"github.com/hoofbeat/hoofbeat/frames"
)

// phase is the stage of a session's life.
type phase uint32

const (
	phaseNew    phase = iota // before CONNECT
	phaseOpen                // CONNECTED was sent
	phaseEnding              // the goodbye is being written; further input is discarded
)

// A session is the connection of one client. Its state machine runs only in the
// goroutine that reads from its connection, so commands need no lock. Other
// goroutines reach it through its outbox and [session.end].
type session struct {
	b    *Broker
	id   string
	wire wire.Wire
	out  outbox

	// The following fields belong to the reading goroutine.
	dec       frames.Decoder
	batch     *batch // set while input from one read is being handled
	subs      []*subscriber
	ordinal   uint32
	received  uint32 // frames, modulo 2^32, for the log
	target    *target
	tx        *transactions // nil until the first BEGIN
	discarded int
	framed    bool // the current read brought a frame
	grown     bool // this goroutine has handled a frame
	measured  bool // the sweeper's: noticed has the unsent bytes

	version   frames.Version
	footprint uint32                         // of subs, in footprintUnit; of the reading goroutine
	principal atomic.Pointer[auth.Principal] // set before phaseOpen, replaced when renewed
	peer      netip.AddrPort
	admission *admission.Entry // until CONNECTED
	passcode  bool             // it authenticated with login and passcode
	joined    bool             // connected and in the user registry
	announced bool             // observers were notified of the connect
	deferred  bool             // of the reading goroutine: an answer may be waiting in out.receipts
	spoke     atomic.Uint32    // broker clock, in spokeUnit rounded up: when the client last sent STOMP
	opened    int64            // broker clock
	deadline  int64            // broker clock: must be CONNECTED before this
	sendEvery int64            // outgoing heart-beat, nanoseconds, 0 = none
	hearEvery int64            // incoming heart-beat

	phase      atomic.Uint32
	aborting   atomic.Bool  // another goroutine runs abort
	expireAt   atomic.Int64 // broker clock: when the credential expires
	warned     atomic.Int64 // the expireAt that the client was notified of; for an ending session, broker clock when it last read
	leaving    atomic.Bool  // it is revoking its own credential, which must not end it
	busy       atomic.Bool  // in user code and not reading, so silence is no sign of a dead client
	lastHeard  atomic.Int64 // broker clock
	noticed    int64        // the sweeper's: broker clock when it last noticed silence; for an ending session, the unsent bytes
	endAt      atomic.Int64 // broker clock: when an unread goodbye is aborted
	subscribed atomic.Int32 // len(subs), for other goroutines
	unacked    atomic.Int32
	judge      *judge     // of pattern subscriptions; nil until one needs it
	quota      *quota     // queue quota, set on first use; of the reading goroutine
	consumers  []consumer // guarded by the outbox's lock; replaced, never modified
	slot       clock.Entry[session]
	recheck    atomic.Pointer[recheck] // nil unless a third party may withdraw its credential
	mail       atomic.Pointer[mailbox] // nil until another goroutine needs the reader

	endMu  sync.Mutex
	failed *Error
	ctx    context.Context
	cancel context.CancelFunc
}

// newSession registers a session for an admitted connection.
func (b *Broker) newSession(w wire.Wire, a *admission.Entry) (*session, error) {
	if err := b.accepting(); err != nil {
		return nil, err
	}
	s := &session{b: b, id: newSessionID(b.nodeID), wire: w, peer: a.Remote, admission: a}
	if !s.peer.IsValid() {
		s.peer = w.Remote()
	}
	s.out.s, s.out.wire = s, w
	now := b.now()
	s.opened = int64(time.Since(b.started)) // exact, because lists are sorted by it
	s.lastHeard.Store(now)
	s.expireAt.Store(never)
	s.deadline = never
	if d := b.o.ConnectDeadline; d > 0 {
		s.deadline = now + int64(d)
	}
	if err := b.addSession(s); err != nil {
		return nil, err
	}
	s.limitFrames() // a policy set after this point also updates the session
	a.Occupy(s)
	b.sweeper.Schedule(s, s.deadline)
	return s, nil
}

// frameLimit translates "no limit" to the value that the decoder uses for it.
func frameLimit(n int) int {
	if n == unlimited {
		return -1
	}
	return n
}

// errRested ends receive in a goroutine with a grown stack when the client has
// become idle.
var errRested = errors.New("broker: the session is idle")

// run runs the session in its reading goroutine. Handling a frame needs a
// deeper stack than waiting for one, and the stack of a waiting goroutine never
// shrinks to its initial size. So an idle session continues in a fresh
// goroutine. This saves 2 KiB for each idle connection, at the cost of growing
// the stack again when the client becomes active.
func (s *session) run() {
	err := s.wire.Receive((*input)(s))
	for err == errRested || s.woken(err) {
		if err == errRested && s.b.spawn(s.run) {
			return
		}
		err = s.wire.Receive((*input)(s))
	}
	bt := s.work()
	s.ended(err, bt)
	s.cleanUp(bt)
	s.batchEnd()
}

// work returns the current batch and creates it if needed.
func (s *session) work() *batch {
	if s.batch == nil {
		s.batch = s.b.newBatch()
	}
	return s.batch
}

// batchEnd is called after the input of one read has been handled. It writes
// the outboxes in the batch, or leaves that to a flusher if it is much work.
func (s *session) batchEnd() {
	s.readMail()
	if s.batch != nil {
		s.batch.end(&s.out)
		s.batch = nil
	}
}

func (s *session) heard() { s.lastHeard.Store(s.b.now()) }

// spokeUnit keeps [session.spoke] within 32 bits for 13 years.
const spokeUnit = int64(100 * time.Millisecond)

// spoken records that the client sent STOMP, even if only an EOL.
func (s *session) spoken() {
	s.spoke.Store(uint32((s.b.now() + spokeUnit - 1) / spokeUnit))
}

// rested is called after each read. A read without a frame (a heart-beat or a
// pong) shows that the client is idle for now.
func (s *session) rested() error {
	if s.framed {
		s.framed, s.grown = false, true
		return nil
	}
	if s.grown && s.dec.Buffered() == 0 {
		s.grown, s.target = false, nil
		return errRested
	}
	return nil
}

// data handles bytes of STOMP, split at any position.
func (s *session) data(p []byte) error {
	if phase(s.phase.Load()) == phaseEnding {
		return s.discard(len(p))
	}
	if len(p) > 0 {
		s.spoken()
	}
	if at := s.expireAt.Load(); at != never && int64(time.Since(s.b.started)) >= at { // the sweeper may be one tick late
		s.end(errCredentialExpired, "", s.work())
		return nil
	}
	s.b.stats.bytesIn.Add(int64(len(p)))
	s.dec.Feed(p)
	for {
		if s.deferred {
			if s.hold(s.work()); phase(s.phase.Load()) == phaseEnding {
				return nil
			}
		}
		f, ok, err := s.dec.Next()
		if err != nil {
			s.unreadable(err, p)
			return nil
		}
		if !ok {
			return nil
		}
		s.framed = true
		s.received++
		s.b.stats.framesIn.Add(1)
		bt := s.work()
		if fail := s.guarded(f, bt); fail != nil && !s.softly(fail, f, bt) {
			if fail.Reason == ReasonDenied {
				s.slowDenial(bt)
			}
			s.fail(fail, f.Get(frames.HeaderReceipt), bt)
		}
		if phase(s.phase.Load()) == phaseEnding {
			return nil
		}
	}
}

// guarded handles a frame. A panic, which only user code can cause, ends this
// session only.
func (s *session) guarded(f *frames.Frame, bt *batch) (fail *Error) {
	defer func() {
		if v := recover(); v != nil {
			s.b.log(slog.LevelError, "a handler or hook panicked", source{brief(fmt.Sprint(v)), loglimit.Network(s.peer.Addr()), true}, "session", s.id, "panic", v, "stack", string(debug.Stack()))
			fail = failure(ReasonInternalError, "internal error")
		}
	}()
	return s.command(f, bt)
}

// unreadable ends the session after input that is not a valid frame. It is a
// separate function so that handling a heart-beat needs only a small stack.
//
//go:noinline
func (s *session) unreadable(err error, p []byte) {
	s.logForeign(p)
	command, receipt := s.dec.Failed()
	s.fail(s.decodeFailure(err, command), receipt, s.work())
}

// decodeFailure returns the error for the client about a frame that cannot be
// decoded.
func (s *session) decodeFailure(err error, command string) *Error {
	if errors.Is(err, frames.ErrUnknownCommand) && command != "" {
		return failure(ReasonProtocolError, "unknown command %q", command)
	}
	var limit *frames.LimitError
	if errors.As(err, &limit) {
		return failure(ReasonTooBig, "%s (%s)", limit.Error(), s.frameLimitKey(limit))
	}
	var syntax *frames.SyntaxError
	if errors.As(err, &syntax) {
		return &Error{Reason: ReasonProtocolError, Message: syntax.Error()}
	}
	return &Error{Reason: ReasonProtocolError, Message: "malformed frame"}
}

// user runs code of the program, which may block. It first writes the outboxes
// in the batch. While the code runs, silence of the client has no consequence.
// Calls may be nested: a renewal, which is a handler, calls the authorizer.
func (s *session) user(bt *batch, f func(ctx context.Context)) {
	before := s.enter(bt)
	defer s.exit(before)
	f(s.context())
}

// enter marks the session's goroutine as running user code, so that it does not
// read; exit ends this.
func (s *session) enter(bt *batch) (before bool) {
	bt.flush()
	return s.busy.Swap(true)
}

func (s *session) exit(before bool) {
	s.heard()
	s.spoken()
	s.busy.Store(before)
}

// callHook is user for a hook of this name: a panic of the hook becomes an error.
func (s *session) callHook(bt *batch, name string, f func(ctx context.Context) error) error {
	before := s.enter(bt)
	defer s.exit(before)
	return hook.Call(s.b.hookPanicked, name, func() error { return f(s.context()) })
}

// tell calls the observers for this session, as user code.
func (s *session) tell(bt *batch, f func(*Observer)) {
	if len(s.b.watchers.current()) == 0 {
		return
	}
	before := s.enter(bt)
	defer s.exit(before)
	s.b.observe(f)
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

// dropContext releases the context that CONNECT needed: most sessions never
// need one again, and it takes half a kilobyte.
func (s *session) dropContext() {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	if s.ctx != nil {
		s.cancel()
		s.ctx, s.cancel = nil, nil
	}
}

func (s *session) userName() string {
	if p := s.principal.Load(); p != nil {
		return p.Name
	}
	return ""
}
