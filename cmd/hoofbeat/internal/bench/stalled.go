package bench

import (
	"context"
	"net"
	"time"
)

// stallBuffer is the receive buffer of a client that will stop reading: small,
// so that the server notices soon.
const stallBuffer = 64 << 10

func (c *conn) narrow() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetReadBuffer(stallBuffer)
	}
	return nil
}

// over handles the end of a subscriber's connection. A stalled subscriber may
// be disconnected.
func (s *subscriber) over(err error) bool {
	s.ended.Store(&err)
	return s.release != nil
}

// stallsEnd is how long a server may take to notice that a stalled client reads
// again.
const stallsEnd = 20 * time.Second

// stalledReaders makes the stalled subscribers read again. It checks that each
// either got everything or was disconnected: both are correct, silence is not.
func (t *traffic) stalledReaders(ctx context.Context) {
	if t.stalled == 0 {
		return
	}
	all := t.subscribers[:t.stalled]
	for _, s := range all {
		close(s.release)
	}
	complete := func(s *subscriber) bool {
		s.place.mu.Lock()
		defer s.place.mu.Unlock()
		for i := range s.tallies {
			if s.tallies[i].lost(t.flows[i].sent.Load()) > 0 {
				return false
			}
		}
		return true
	}
	t.poll(context.WithoutCancel(ctx), max(stallsEnd, t.Patience), func() bool {
		for _, s := range all {
			if s.ended.Load() == nil && !complete(s) {
				return false
			}
		}
		return true
	})
	out := &Stalled{Subscribers: t.stalled}
	t.result.Stalled = out
	for _, s := range all {
		s.place.mu.Lock()
		out.Received += s.counts.Received
		s.place.mu.Unlock()
		switch ended := s.ended.Load(); {
		case ended != nil:
			out.Ended++
			if out.Reason == "" {
				out.Reason = plain(*ended).Error()
			}
		case !complete(s):
			t.result.fail("a subscriber that stalled neither got everything nor was disconnected")
		}
	}
}
