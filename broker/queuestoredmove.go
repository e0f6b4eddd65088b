package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// moveAhead is how many messages the store replaces at one time.
	moveAhead = 64
	// moveUnseen is how many messages a mover has that it did not look at yet.
	moveUnseen = 256
	// A move looks after moveQuiet without a message which of them are still
	// there, and gives up after moveGiveUp: others hold them.
	moveQuiet  = 250 * time.Millisecond
	moveGiveUp = 3 * time.Second
)

// Move implements queues. A consumer of its own takes the messages, so that
// nobody else gets them, and the store replaces them. What it gets besides, it
// returns untouched.
func (s *storedQueues) Move(ctx context.Context, _ *batch, mv *queueMove) (moved int, err error) {
	wanted, err := s.chosen(ctx, mv)
	if err != nil || len(wanted) == 0 {
		return 0, err
	}
	m := &mover{s: s, mv: mv, wanted: wanted, last: slices.Max(slices.Collect(maps.Keys(wanted))), arrived: make(chan struct{}, 1), answers: make(chan error, moveAhead)}
	k, err := s.attach(mv.from, "", m, 0, false)
	if err != nil {
		return 0, err
	}
	m.k = k
	m.on((*storedConsumer).Start)
	err = m.run(ctx)
	m.stop()
	m.on((*storedConsumer).withdraw)
	return m.moved, err
}

// chosen returns the sequences of the messages that are moved, if nobody takes
// them before.
func (s *storedQueues) chosen(ctx context.Context, mv *queueMove) (map[uint64]struct{}, error) {
	wanted := make(map[uint64]struct{})
	held := s.heldHere(mv.from)
	err := s.search(ctx, mv.from, mv.after, func(m *StoredMessage) bool {
		if _, isHeld := held[m.Sequence]; !isHeld && mv.choose(m.Message, m.Sequence) {
			wanted[m.Sequence] = struct{}{}
		}
		return !mv.more
	})
	return wanted, err
}

// mover is the consumer of a move. One goroutine calls its methods, except Offer
// and stop.
type mover struct {
	s       *storedQueues
	mv      *queueMove
	k       *storedConsumer
	wanted  map[uint64]struct{} // not yet taken
	last    uint64              // the greatest of them at the beginning
	moved   int
	flying  int // messages that the store is replacing
	answers chan error

	arrived chan struct{} // there is something in unseen
	mu      sync.Mutex
	unseen  []*storedWork
	parked  bool // until unseen is empty
	stopped bool
}

// Offer implements workqueue.Receiver. The caller holds the queue's lock.
func (m *mover) Offer(_ *batch, d *storedWork) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped || d.Message().sequence > m.last { // until run looks again
		return false
	}
	if len(m.unseen) >= moveUnseen {
		m.parked = true
		return false
	}
	m.unseen = append(m.unseen, d)
	select {
	case m.arrived <- struct{}{}:
	default:
	}
	return true
}

// stop has the mover take nothing more.
func (m *mover) stop() {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
}

// on calls a method of the consumer, with a batch.
func (m *mover) on(do func(*storedConsumer, *batch)) {
	bt := m.s.b.newBatch()
	do(m.k, bt)
	bt.flushLater()
}

// run moves the messages as they come, until none is to come.
func (m *mover) run(ctx context.Context) (err error) {
	quiet := time.NewTimer(moveQuiet)
	defer quiet.Stop()
	last := time.Now() // something came
	for m.flying > 0 || err == nil && len(m.wanted) > 0 {
		if err == nil && m.moveNext() {
			last = time.Now()
			continue
		}
		arrived, done, closed := m.arrived, ctx.Done(), m.s.b.ctx.Done()
		if err != nil || m.flying == moveAhead {
			arrived = nil
		}
		if err != nil {
			done, closed = nil, nil // the store still answers for what it replaces
		}
		select {
		case answer := <-m.answers:
			m.flying--
			last = time.Now()
			if answer == nil {
				m.moved++
			} else if err == nil {
				err = answer
			}
		case <-arrived:
		case <-done:
			err = ctx.Err()
		case <-closed:
			err = ErrClosed
		case <-quiet.C:
			quiet.Reset(moveQuiet)
			m.on((*storedConsumer).Resume)
			if err == nil && m.flying == 0 && time.Since(last) >= moveQuiet {
				err = m.lookAgain(ctx, time.Since(last) >= moveGiveUp)
			}
		}
	}
	return err
}

// moveNext takes the next message that was offered and has it moved if it is
// wanted. It returns false if there is none, or if the store has enough to do.
func (m *mover) moveNext() bool {
	if m.flying == moveAhead {
		return false
	}
	m.mu.Lock()
	if len(m.unseen) == 0 {
		parked := m.parked
		m.parked = false
		m.mu.Unlock()
		if parked {
			m.on((*storedConsumer).Resume)
		}
		return parked
	}
	d := m.unseen[0]
	m.unseen = slices.Delete(m.unseen, 0, 1)
	m.mu.Unlock()
	it := d.Message()
	if _, wanted := m.wanted[it.sequence]; !wanted || it.from.closed.Load() {
		return true
	}
	message, size := m.mv.moved(it.Message)
	put := queuePut{queue: m.mv.to, message: message, size: size, expires: d.Expires(), share: it.share}
	delete(m.wanted, it.sequence)
	m.flying++
	m.on(func(_ *storedConsumer, bt *batch) { d.Ack(bt) }) // the window forgets it, the store does not
	m.s.replace(it, put.stored(), func(err error, _ *batch) {
		if err != nil {
			m.stop() // it comes again
			it.from.reader.Return([]uint64{it.sequence})
		}
		m.answers <- err
	})
	return true
}

// lookAgain gives up the messages that are gone or that consumers hold. At the
// end it gives up all.
func (m *mover) lookAgain(ctx context.Context, end bool) error {
	if end {
		clear(m.wanted)
		if m.k.q.reader.Load() == nil {
			return fmt.Errorf("the queue %s cannot be read now", m.mv.from)
		}
		return nil
	}
	held := m.s.heldHere(m.mv.from)
	there := make(map[uint64]struct{}, len(m.wanted))
	if err := m.s.among(ctx, m.mv.from, m.wanted, func(n uint64) {
		if _, isHeld := held[n]; !isHeld {
			there[n] = struct{}{}
		}
	}); err != nil {
		return err
	}
	m.wanted = there
	return nil
}

// withdraw is Close for a mover: what it holds returns untouched.
func (k *storedConsumer) withdraw(bt *batch) {
	if k.closed.Swap(true) {
		return
	}
	k.work.Withdraw(bt)
	k.q.s.left(k.q)
}
