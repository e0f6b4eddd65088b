package broker

import (
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
	"github.com/hoofbeat/hoofbeat/topics"
)

// route adds sub to the router. It counts slow patterns, which are compared one
// by one with each message to a destination that is not cached (see
// [topics.Destination.Slow]): a client could slow down every SEND with them.
func (s *session) route(sub *subscription) *Error {
	d := sub.dest
	if d.Slow() {
		if e := s.takeSlow(d.Path); e != nil {
			return s.b.refuse(e, s.peer, s.userName())
		}
	}
	s.b.router.Subscribe(s.id, d, sub)
	return nil
}

func (s *session) takeSlow(pattern string) *limit.Exceeded {
	l := s.b.policy.Load().limits
	return s.b.slow.take(s.ownerKey(), pattern,
		limit.Exceeded{Limit: limit.SlowPatternsPerUser, Value: l.SlowPatternsPerUser},
		limit.Exceeded{Limit: limit.SlowPatterns, Value: l.SlowPatterns})
}

// unroute undoes route.
func (s *session) unroute(sub *subscription) {
	s.b.router.Unsubscribe(s.id, sub.dest, sub)
	if sub.dest.Slow() {
		s.b.slow.give(s.ownerKey(), sub.dest.Path)
	}
}

// cost returns the memory, in bytes, that the broker holds for a subscribed
// destination.
func cost(d topics.Destination) int {
	if d.Slow() {
		return d.Cost() + distinctBytes
	}
	return d.Cost()
}
