package broker_test

import (
	"math"
	"slices"
	"sync"
)

// pace keeps those who publish in a test a few messages ahead of the slowest who
// reads them. Without it they would fill the memory of the clients, and these
// would take minutes on a busy machine to read what nobody asked for.
type pace struct {
	mu    sync.Mutex
	moved sync.Cond
	next  int64   // the number of the last message
	at    []int64 // for each reader the number that it has read, or resting
	ended bool
}

const (
	lead    = 64            // messages
	resting = math.MaxInt64 // of a reader that waits for no message
)

func newPace(readers int) *pace {
	p := &pace{at: slices.Repeat([]int64{resting}, readers)}
	p.moved.L = &p.mu
	return p
}

// publish waits until one more may be published and returns its number, or 0
// after end.
func (p *pace) publish() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended && slices.Min(p.at) < p.next-lead {
		p.moved.Wait()
	}
	if p.ended {
		return 0
	}
	p.next++
	return p.next
}

// end lets nobody publish any more.
func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.moved.Broadcast()
}

// last returns the number of the last message.
func (p *pace) last() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// read notes that a reader has come as far as message n. Of two publishers the
// message with the lower number may come later.
func (p *pace) read(reader int, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.at[reader]; before != resting {
		n = max(n, before)
	}
	p.at[reader] = n
	p.moved.Broadcast()
}
