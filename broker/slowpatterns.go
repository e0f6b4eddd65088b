package broker

import "github.com/hoofbeat/hoofbeat/topics"

// route makes sub known to the router. Patterns that every message to a destination
// which is not remembered is compared with one by one are counted (see
// [topics.Destination.Slow]): a client could make everybody's SEND slow with them.
func (s *session) route(sub *subscription) *Error {
	d := sub.dest
	if d.Slow() {
		if e := s.takeSlow(d.Path); e != nil {
			return s.b.refuse(e, s.peer, s.userName()).failure()
		}
	}
	s.b.router.Subscribe(s.id, d, sub)
	return nil
}

func (s *session) takeSlow(pattern string) *exceeded {
	l := s.b.policy.Load().limits
	return s.b.slow.take(s.ownerKey(), pattern,
		exceeded{limit: limitSlowPatternsPerUser, value: l.SlowPatternsPerUser},
		exceeded{limit: limitSlowPatterns, value: l.SlowPatterns})
}

// unroute takes route back.
func (s *session) unroute(sub *subscription) {
	s.b.router.Unsubscribe(s.id, sub.dest, sub)
	if sub.dest.Slow() {
		s.b.slow.give(s.ownerKey(), sub.dest.Path)
	}
}

// cost is what a destination that is subscribed to makes the broker hold.
func cost(d topics.Destination) int {
	if d.Slow() {
		return d.Cost() + distinctBytes
	}
	return d.Cost()
}
