package broker

import "github.com/hoofbeat/hoofbeat/broker/internal/wsconn"

// input is the session as its wire sees it.
type input session

func (i *input) Data(p []byte) error { return (*session)(i).data(p) }
func (i *input) Heard()              { (*session)(i).heard() }
func (i *input) BatchEnd()           { (*session)(i).batchEnd() }
func (i *input) Pong()               {}

func (i *input) Ping(payload []byte) {
	s := (*session)(i)
	s.out.answerPing(wsconn.AppendPong(nil, payload), s.work())
}

// Stream returns a method of the session: a waiting TCP connection holds only a
// pointer to the session, and a read costs one indirect call.
func (i *input) Stream() func(p []byte) error { return (*session)(i).stream }

func (s *session) stream(p []byte) error {
	s.heard()
	err := s.data(p)
	s.batchEnd()
	if err == nil {
		err = s.rested()
	}
	return err
}

// Batch is called after every read from a WebSocket: any input shows that the
// client is alive.
func (i *input) Batch() error {
	s := (*session)(i)
	s.heard()
	s.batchEnd()
	return s.rested()
}

// InflateLimit allows twice the size of the largest frame: the frame and as
// many other bytes in the same message. The STOMP limits apply to frames. This
// limit also covers the bytes around and between frames, which could otherwise
// inflate from a few bytes to millions. It applies to uncompressed messages
// too, because the client's library decides which messages it compresses.
func (i *input) InflateLimit() int64 {
	s := (*session)(i)
	limits := &s.b.policy.Load().limits
	frame := limits.Frame
	if !s.joined {
		frame = min(frame, limits.UnauthenticatedFrame)
	}
	if frame == unlimited {
		return 0
	}
	return 2 * int64(frame)
}
