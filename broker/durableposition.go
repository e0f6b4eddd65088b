package broker

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A position is how far a stored durable subscription is: which of its messages
// are not settled. Its fields are guarded by the lock of the [durableSaver].
type position struct {
	open    []openMessage // ascending
	gap     bool          // messages after the last open one are settled
	high    uint64        // the greatest sequence so far
	given   uint64        // the greatest sequence that was delivered
	used    time.Time
	inUse   bool
	tries   map[uint64]int
	dropped int64
	told    int64
}

// openMessage is a message that is not settled.
type openMessage struct {
	sequence uint64
	gap      bool // messages between it and the open one before are settled
}

func (p *position) find(sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(p.open, sequence, func(m openMessage, s uint64) int { return cmp.Compare(m.sequence, s) })
}

// add makes a message an open one. Messages come in their order, but when a
// position is restored.
func (p *position) add(sequence uint64) {
	i, found := p.find(sequence)
	if found {
		return
	}
	gap := false
	switch {
	case i < len(p.open):
		gap = p.open[i].gap || i == 0 // what is before the first one is settled
		p.open[i].gap = gap
	case sequence > p.high:
		gap, p.gap = p.gap, false
	case len(p.open) == 0: // it comes late
		gap, p.gap = true, true
	default:
		gap = p.gap
	}
	p.high = max(p.high, sequence)
	p.open = slices.Insert(p.open, i, openMessage{sequence, gap})
}

// settle settles an open message, and reports whether it was one.
func (p *position) settle(sequence uint64) bool {
	i, found := p.find(sequence)
	if !found {
		return false
	}
	delete(p.tries, sequence)
	if i+1 < len(p.open) {
		p.open[i+1].gap = true
	} else {
		p.gap = true
	}
	if i == 0 {
		p.open = p.open[1:]
		if len(p.open) == 0 {
			p.open = nil
		}
		return true
	}
	p.open = slices.Delete(p.open, i, i+1)
	return true
}

// stored returns the position for the store.
func (p *position) stored() DurablePosition {
	s := DurablePosition{
		High: p.high, Given: p.given, Attached: p.inUse, Used: p.used, Dropped: p.dropped, Told: p.told,
	}
	if len(p.tries) > 0 {
		s.Attempts = make(map[uint64]int, len(p.tries))
		maps.Copy(s.Attempts, p.tries)
	}
	add := func(first, last uint64) {
		if first <= last {
			s.Settled = append(s.Settled, SequenceRange{first, last})
		}
	}
	if len(p.open) == 0 {
		add(1, p.high)
		return s
	}
	add(1, p.open[0].sequence-1)
	for i, m := range p.open[1:] {
		if m.gap {
			add(p.open[i].sequence+1, m.sequence-1)
		}
	}
	if p.gap {
		add(p.open[len(p.open)-1].sequence+1, p.high)
	}
	return s
}

// restore sets the position to what a store had. The open messages follow.
func (p *position) restore(s DurablePosition) {
	p.high, p.given, p.used, p.dropped, p.told = s.High, s.Given, s.Used, s.Dropped, s.Told
}

// has reports whether a sequence is settled.
func (p *DurablePosition) has(sequence uint64) bool {
	i, _ := slices.BinarySearchFunc(p.Settled, sequence, func(r SequenceRange, s uint64) int { return cmp.Compare(r.Last, s) })
	return i < len(p.Settled) && p.Settled[i].First <= sequence
}
