package broker

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// maxLinger is the maximum number of bytes that an ending session reads and
// discards, so that a connection reset does not destroy its final frames.
const maxLinger = 1 << 20

// ended ends the session with a reason derived from the error of receive.
func (s *session) ended(err error, bt *batch) {
	var (
		f        *Error
		closing  *wsconn.CloseError
		told     *CloseError
		protocol *wsconn.ProtocolError
	)
	switch {
	case errors.As(err, &f):
		s.end(f, "", bt)
	case errors.As(err, &closing):
		s.end(closedWith(closing.Code), "", bt)
	case errors.As(err, &told):
		s.end(closedWith(told.Code), "", bt)
	case errors.As(err, &protocol):
		s.end(s.protocolFailure(protocol), "", bt)
	case errors.Is(err, io.EOF):
		s.end(&Error{Reason: ReasonConnectionLost, Message: "the client closed the connection"}, "", bt)
	case phase(s.phase.Load()) == phaseEnding:
		// The client did not answer the final frames in time. The written bytes
		// are on their way.
	default:
		s.lost(bt)
	}
}

// closedWith returns the error of a session whose client sent a close frame.
// The codes 1006 and 1015 are never in a close frame: libraries use them to
// report that there was none.
func closedWith(code int) *Error {
	switch code {
	case 0:
		code = 1005
	case 1006, 1015:
		return &Error{Reason: ReasonConnectionLost, Message: "the connection was lost"}
	}
	return &Error{Reason: ReasonDisconnect, Message: fmt.Sprintf("closed by the client with code %d", code), ClientCode: code}
}

// protocolFailure returns the error that the client receives for a violation of
// the WebSocket protocol.
func (s *session) protocolFailure(err *wsconn.ProtocolError) *Error {
	f := &Error{Reason: reasonOfCode(err.Code), Message: err.Reason}
	if f.Reason == ReasonTooBig {
		f.Message += " (twice " + s.frameSizeKey() + ")"
	}
	return f
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

func (s *session) discard(n int) error {
	s.discarded += n
	if s.discarded > maxLinger {
		return io.EOF
	}
	return nil
}

// end ends the session for a reason; the first reason wins. Any goroutine may
// call it. It sends the reason to the client if that is still possible; the
// reading goroutine cleans up.
func (s *session) end(f *Error, receipt string, bt *batch) {
	s.endMu.Lock()
	if s.failed != nil {
		s.endMu.Unlock()
		return
	}
	s.failed = f
	s.endAt.Store(s.b.now() + int64(s.b.o.LingerTimeout))
	before := phase(s.phase.Swap(uint32(phaseEnding)))
	if s.cancel != nil {
		s.cancel() // after the phase has changed, so that observers of ctx see the new phase
	}
	s.endMu.Unlock()
	s.b.stats.ended(f.Reason)

	switch f.Reason {
	case ReasonConnectionLost:
		s.out.close(nil, false, bt)
		return
	case ReasonSlowConsumer:
		// Finish a half-written frame: without it, the client could not parse
		// the final frames.
		s.out.close(s.goodbye(f, receipt, before), true, bt)
	default:
		s.out.close(s.goodbye(f, receipt, before), false, bt)
	}
	s.b.sweeper.Schedule(s, s.b.now()) // from now on the sweeper checks whether the client reads
}

// endNow calls end for callers without a batch.
func (s *session) endNow(f *Error) {
	bt := s.b.newBatch()
	s.end(f, "", bt)
	bt.flushLater()
}

// goodbye returns the final frames for the client.
func (s *session) goodbye(f *Error, receipt string, before phase) [][]byte {
	var out [][]byte
	version := frames.Unnegotiated
	if before == phaseOpen {
		version = s.version
	}
	if f.Reason != ReasonDisconnect && f.Reason != ReasonDraining {
		text := printable(f.Message)
		fr := frames.Frame{Command: frames.CommandError, Headers: []frames.Header{{Name: frames.HeaderMessage, Value: text}}}
		if receipt != "" {
			fr.Headers = append(fr.Headers, frames.Header{Name: frames.HeaderReceiptID, Value: receipt})
		}
		if before == phaseNew && f == errVersion {
			fr.Headers = append(fr.Headers, frames.Header{Name: frames.HeaderVersion, Value: frames.SupportedVersions})
		}
		fr.Headers = append(fr.Headers, frames.Header{Name: frames.HeaderContentType, Value: "text/plain"})
		fr.Body = []byte(text)
		out = append(out, encode.Frame(s.wire.Framing(), version, &fr))
	}
	if c := s.wire.Goodbye(f.Reason.CloseCode(), f.Reason.String()); c != nil {
		out = append(out, c)
	}
	return out
}

// finish is called after the final frames were written.
func (s *session) finish() {
	f := s.cause()
	s.wire.Finish(s.b.o.LingerTimeout, f.Reason.CloseCode(), f.Reason.String())
}

// lost ends a session whose connection has broken.
func (s *session) lost(bt *batch) {
	s.end(&Error{Reason: ReasonConnectionLost, Message: "the connection was lost"}, "", bt)
	s.out.drop()
	s.abort()
}

// abort ends the connection at once. Any goroutine may call it, and it does not
// block: publishers and the sweeper serve all sessions, so code of the program
// that may block runs on its own goroutine.
func (s *session) abort() {
	if !s.wire.AbortBlocks() {
		s.wire.Abort()
		return
	}
	if s.aborting.Swap(true) {
		return
	}
	if !s.b.spawn(s.wire.Abort) { // Close has begun and waits for this session
		s.wire.Abort()
	}
}

// cause returns the reason for the end of the session.
func (s *session) cause() *Error {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	if s.failed == nil {
		return &Error{Reason: ReasonNone}
	}
	return s.failed
}

// cleanUp removes the session from all registries and closes its wire. It runs
// on the reading goroutine after the connection has ended.
func (s *session) cleanUp(bt *batch) {
	s.b.sweeper.Remove(s)
	ended := s.subs
	for len(s.subs) > 0 {
		sub := s.subs[0]
		s.subs = s.subs[1:]
		s.drop(sub, bt)
	}
	s.subs, s.tx = nil, nil
	s.dec.Release()
	if s.joined {
		s.b.leave(s)
	} else {
		s.abandonAdmission()
	}
	s.b.credentials.remove(s.principal.Load(), s)
	s.b.quotas.release(s)
	s.b.durables.forget(s)
	s.b.removeSession(s)
	bt.flush()
	s.waitWritten(bt)
	s.out.uncharge(true)
	s.wire.Drain(maxLinger)
	s.wire.Shut()
	f := s.cause()
	if s.announced {
		s.tellUnsubscribed(bt, EndedWithSession, ended...)
		s.tell(bt, func(o *Observer) {
			if o.Disconnected != nil {
				o.Disconnected(s.summary(), f)
			}
		})
	}
	s.logEnded(f)
}

// waitWritten waits until the last bytes are written: a client that half-closes
// its connection may still read. It aborts after LingerTimeout without
// progress.
func (s *session) waitWritten(bt *batch) {
	s.out.flush(bt)
	idle := s.out.whenIdle()
	if idle == nil {
		return
	}
	linger := int64(s.b.o.LingerTimeout)
	for at := s.b.now() + linger; ; {
		timer := time.NewTimer(time.Duration(at - s.b.now()))
		select {
		case <-idle:
			timer.Stop()
			return
		case <-timer.C:
		}
		progress, _ := s.out.progressed()
		if at = progress + linger; s.b.now() >= at {
			s.abort()
			<-idle
			return
		}
	}
}

// abandon undoes newSession for a session that never ran.
func (s *session) abandon() {
	s.b.sweeper.Remove(s)
	s.abandonAdmission()
	s.b.removeSession(s)
	s.wire.Abort()
	s.wire.Shut()
}

func (s *session) abandonAdmission() {
	if s.admission != nil {
		s.admission.Leave()
		s.admission = nil
	}
}

// fail ends the session because of a client's frame, after the frames before it
// are answered.
func (s *session) fail(f *Error, receipt string, bt *batch) {
	if s.deferred && s.out.endLast(f, receipt, 0) {
		s.hold(bt)
		return
	}
	s.end(f, receipt, bt)
}

// retire ends the session after its client has received the receipts it waits
// for. The session reads nothing more. While user code runs for a frame of the
// client, the session ends after that frame. Any goroutine may call retire.
func (s *session) retire(f *Error) {
	if !s.busy.Load() {
		s.retireNow(f)
		return
	}
	late := time.AfterFunc(drainReceipts, func() { s.endNow(f) })
	s.do(func(*batch) {
		late.Stop()
		s.retireNow(f)
	})
}

func (s *session) retireNow(f *Error) {
	if !s.out.endLast(f, "", drainReceipts) {
		s.endNow(f)
	}
}
