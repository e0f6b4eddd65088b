package bench

import (
	"sync"
	"sync/atomic"
)

// place counts the arrivals at some of the subscribers. Its lock is held while
// the frames of one read are counted.
type place struct {
	mu        sync.Mutex
	latency   histogram
	arrived   int64 // new messages at subscribers that read
	measuring bool
	from, to  int64 // at a rate: measure messages due between these times
	now       int64
}

// counts reports whether a message due at that time is measured, at a rate.
func (p *place) counts(due int64) bool { return due >= p.from && due < p.to }

// subscriber is a connection that receives the messages of some flows.
type subscriber struct {
	t           *traffic
	destination string
	ack         string
	conn        *conn
	place       *place
	first       uint32   // first of the flows
	tallies     []tally  // of the flows; shared by all subscribers when they compete
	last        []uint64 // when they compete: the number after the last message of each flow
	acks        *acknowledger
	probed      atomic.Bool
	offset      atomic.Pointer[string] // header of the last probe, as it was on the wire, if its topic has a history
	release     chan struct{}          // of a subscriber that stops reading
	pause       atomic.Bool
	ended       atomic.Pointer[error]

	counts  Check
	arrived int64 // since begin
	lane    *lane
}

// subscriber adds a subscriber to the flows from first on.
func (t *traffic) subscriber(destination string, l *lane, first uint32, tallies []tally) *subscriber {
	s := &subscriber{
		t: t, destination: destination, ack: "auto",
		first: first, tallies: tallies, lane: l, place: t.places[len(t.subscribers)%len(t.places)],
	}
	t.subscribers = append(t.subscribers, s)
	return s
}

func (s *subscriber) begin(now int64) {
	s.place.mu.Lock()
	s.place.now = now
	s.arrived = 0
}

func (s *subscriber) frame(f *frame) {
	if len(f.command) != 7 || f.command[0] != 'M' {
		return
	}
	if s.acks != nil {
		s.acks.add(f)
	}
	m, err := readStamp(f.body, s.t.filling)
	if err != nil {
		s.counts.Corrupted++
		if s.release == nil {
			// It arrived, whichever message it was.
			s.arrived++
		}
		return
	}
	flow := m.flow - s.first
	if m.run != s.t.id || int(flow) >= len(s.tallies) {
		s.counts.Misrouted++
		return
	}
	if m.probe {
		if offset := f.header("offset"); offset != nil {
			text := string(offset)
			s.offset.Store(&text)
		}
		s.probed.Store(true)
		return
	}
	s.counts.Received++
	switch s.tallies[flow].see(m.sequence) {
	case again:
		s.counts.Duplicated++
		return
	case late:
		if s.last == nil {
			s.counts.Reordered++
		}
	}
	if s.last != nil {
		if m.sequence < s.last[flow] {
			s.counts.Reordered++
		}
		s.last[flow] = m.sequence + 1
	}
	if s.release != nil {
		return
	}
	s.arrived++
	p := s.place
	if p.measuring && (s.t.rate == 0 || p.counts(m.due)) {
		p.latency.add(p.now - m.due)
	}
}

func (s *subscriber) end() error {
	s.place.arrived += s.arrived
	s.place.mu.Unlock()
	if s.arrived > 0 {
		s.lane.arrived(s.arrived)
	}
	if s.acks != nil {
		if err := s.acks.flush(s.conn); err != nil {
			return err
		}
	}
	if s.pause.Load() {
		select {
		case <-s.release:
		case <-s.t.over:
		}
		s.pause.Store(false)
	}
	return nil
}

// silent is the receiver of a connection that expects no frames.
type silent struct{}

func (silent) begin(int64)  {}
func (silent) frame(*frame) {}
func (silent) end() error   { return nil }
