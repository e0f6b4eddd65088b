package store

import (
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nuid"
)

// group sends messages to one stream in the order of the calls. If the engine
// syncs each message, it gathers: one message alone goes alone; while messages are
// on their way, those that come wait and then go together. Otherwise each goes at
// once. Answers come in the order of the sequences.
//
// Unlike a writer it has no goroutine: the caller sends, which is quicker when the
// engine does not sync each message.
type group struct {
	link    *link
	gathers bool

	mu      sync.Mutex
	changed sync.Cond
	waiting []*groupWrite
	sending bool
	flying  int // messages without an answer
	bytes   int // their sizes
	err     error
}

// groupWrite is what one call stores: all of it or nothing. done gets the sequence
// of the first message.
type groupWrite struct {
	puts    []put
	bytes   int
	done    func(first uint64, err error)
	barrier bool // nothing is stored: all before has its answer
}

func (w *groupWrite) add(subject string, data []byte) {
	w.puts = append(w.puts, put{subject: subject, data: data})
	w.bytes += len(data)
}

func newGroup(l *link, gathers bool) *group {
	g := &group{link: l, gathers: gathers, err: errStarting}
	g.changed.L = &g.mu
	return g
}

func (g *group) put(w *groupWrite) {
	g.mu.Lock()
	if err := g.err; err != nil {
		g.mu.Unlock()
		w.done(0, err)
		return
	}
	g.waiting = append(g.waiting, w)
	g.send()
}

// after calls f when all puts before have their answers, or with the error that
// ended them.
func (g *group) after(f func(error)) {
	g.put(&groupWrite{barrier: true, done: func(_ uint64, err error) { f(err) }})
}

// send sends what may go. The caller holds the lock, which send releases. Only one
// call of it sends.
func (g *group) send() {
	if g.sending {
		g.mu.Unlock()
		return
	}
	g.sending = true
	for {
		list := g.take()
		if len(list) == 0 {
			break
		}
		g.mu.Unlock()
		g.sendAll(list)
		g.mu.Lock()
	}
	g.sending = false
	g.changed.Broadcast()
	g.mu.Unlock()
}

// take returns what goes together now. The caller holds the lock.
func (g *group) take() []*groupWrite {
	ready := g.flying < maxFlying && g.bytes < maxFlyingBytes
	if g.gathers {
		ready = g.flying == 0
	}
	if len(g.waiting) == 0 || !ready {
		return nil
	}
	if g.waiting[0].barrier && g.flying > 0 {
		return nil
	}
	n, messages, bytes := 0, 0, 0
	for _, w := range g.waiting {
		messages += len(w.puts)
		bytes += w.bytes
		if n > 0 && (messages > maxBatch || bytes > maxGroupBytes || w.barrier || g.waiting[0].barrier) {
			break
		}
		n++
		g.flying += len(w.puts)
		g.bytes += w.bytes
	}
	list := make([]*groupWrite, n)
	copy(list, g.waiting)
	clear(g.waiting[:n])
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
	return list
}

func (g *group) sendAll(list []*groupWrite) {
	messages := 0
	for _, w := range list {
		messages += len(w.puts)
	}
	if !g.gathers || len(list) == 1 || messages < minGroup {
		for _, w := range list {
			g.sendOne(w)
		}
		return
	}
	var puts []put
	for _, w := range list {
		puts = append(puts, w.puts...)
	}
	g.link.batch(nuid.Next(), puts, func(first uint64, err error) {
		var no *refusal
		if errors.As(err, &no) {
			// One of them is refused, and all with it. Nothing else is on its way,
			// so the order stays.
			for _, w := range list {
				g.sendOne(w)
			}
			return
		}
		for _, w := range list {
			g.finish(w, first, err)
			first += uint64(len(w.puts))
		}
	})
}

// sendOne sends one write alone.
func (g *group) sendOne(w *groupWrite) {
	switch {
	case w.barrier:
		g.finish(w, 0, nil)
	case len(w.puts) > 1:
		g.link.batch(nuid.Next(), w.puts, func(first uint64, err error) { g.finish(w, first, err) })
	default:
		g.link.store(w.puts[0].message(), func(sequence uint64, err error) { g.finish(w, sequence, err) })
	}
}

// finish ends a write, and sends what waited for that.
func (g *group) finish(w *groupWrite, first uint64, err error) {
	w.done(first, err)
	g.mu.Lock()
	g.flying -= len(w.puts)
	g.bytes -= w.bytes
	g.changed.Broadcast()
	g.send()
}

// shut ends all writes that were not sent, and refuses new ones.
func (g *group) shut(err error) {
	g.mu.Lock()
	list := g.waiting
	g.waiting, g.err = nil, err
	g.changed.Broadcast()
	g.mu.Unlock()
	for _, w := range list {
		w.done(0, err)
	}
}

func (g *group) open() {
	g.mu.Lock()
	g.err = nil
	g.mu.Unlock()
}

// settle waits until nothing is on its way, at most until end.
func (g *group) settle(end time.Time) {
	stop := time.AfterFunc(time.Until(end), func() {
		g.mu.Lock()
		g.changed.Broadcast()
		g.mu.Unlock()
	})
	defer stop.Stop()
	g.mu.Lock()
	for (g.flying > 0 || len(g.waiting) > 0) && g.err == nil && time.Now().Before(end) {
		g.changed.Wait()
	}
	g.mu.Unlock()
}
