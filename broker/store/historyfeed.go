package store

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
)

// receive takes what the engine has republished.
func (l *historyLog) receive(m *nats.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.paused || l.closed:
	case len(l.inbox) >= inboxMessages || l.size >= inboxBytes:
		l.lagging = true
	default:
		l.inbox = append(l.inbox, m)
		l.size += len(m.Data)
		l.changed.Broadcast()
	}
}

// run hands over what comes.
func (l *historyLog) run() {
	defer close(l.ended)
	for {
		l.mu.Lock()
		for !l.closed && (l.paused || len(l.inbox) == 0 && !l.lagging) {
			l.changed.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		list, lagging := l.inbox, l.lagging
		l.inbox, l.size, l.lagging = nil, 0, false
		l.mu.Unlock()
		err := l.hand(list)
		if err == nil && lagging {
			err = l.catchUp()
		}
		if err != nil {
			l.h.fail(err)
		}
	}
}

// hand hands over what the engine has republished, and what is missing between.
func (l *historyLog) hand(list []*nats.Msg) error {
	l.feeding.Lock()
	defer l.feeding.Unlock()
	b := handing{l: l, next: l.handed() + 1}
	for _, m := range list {
		sequence, err := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
		if err != nil || sequence < b.next { // an engine that was restarted republishes nothing again; another publisher may
			continue
		}
		if sequence > b.next {
			b.flush()
			if err := l.repair(&b, sequence-1); err != nil {
				return err
			}
		}
		if !b.add(sequence, m) {
			return nil
		}
	}
	b.flush()
	return nil
}

func (l *historyLog) handed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fed
}

// catchUp hands over everything up to the end of the stream.
func (l *historyLog) catchUp() error {
	l.feeding.Lock()
	defer l.feeding.Unlock()
	ctx, cancel := context.WithTimeout(l.h.ctx, l.h.o.Timeout)
	defer cancel()
	var state jetstream.StreamState
	err := l.h.watcher.connected(ctx, func(ctx context.Context) (err error) {
		state, err = l.state(ctx)
		return err
	})
	if err != nil {
		return err
	}
	b := handing{l: l, next: l.handed() + 1}
	if state.LastSeq < b.next {
		return nil
	}
	if err := l.repair(&b, state.LastSeq); err != nil {
		return err
	}
	b.flush()
	return nil
}

// repair hands over what the stream has up to a number. What is not there any
// more was dropped by a limit.
func (l *historyLog) repair(b *handing, last uint64) error {
	ctx, cancel := context.WithTimeout(l.h.ctx, beginTimeout)
	defer cancel()
	ok := true
	missing := jetstream.StreamState{Msgs: 1, FirstSeq: b.next, LastSeq: last}
	err := l.h.watcher.connected(ctx, func(ctx context.Context) error {
		return scan(ctx, l.h.o.Data, l.stream, missing, func(m *nats.Msg, sequence uint64) {
			if sequence <= last && ok {
				ok = b.add(sequence, m)
			}
		})
	})
	b.flush()
	if err == nil && ok {
		b.passed(last)
		l.forgetDropped(last)
	}
	return err
}

// forgetDropped forgets messages of this broker that a limit has dropped before
// they were handed over.
func (l *historyLog) forgetDropped(last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, own := range l.own {
		if own.settled && own.number <= last {
			delete(l.own, id)
		}
	}
}

// handing gathers messages that are handed over together.
type handing struct {
	l    *historyLog
	next uint64 // the number that is expected
	list []broker.HistoryRecord
}

// add adds a message. A message of this broker waits until the engine has
// confirmed it. It returns false if the store has stopped meanwhile.
func (b *handing) add(sequence uint64, m *nats.Msg) bool {
	l := b.l
	if l.isIDs(m) {
		b.next = sequence + 1
		return true
	}
	if l.isRemoval(m) {
		b.removal(sequence, m)
		return true
	}
	r, err := record(sequence, m)
	var put broker.QueuePut
	if err == nil {
		put, err = parsePayload(m.Data)
	}
	if err != nil {
		l.h.log.Error("a message of a history cannot be read; it stays in the store and is not delivered", "stream", l.stream, "sequence", sequence, "error", err)
		b.next = sequence + 1
		return true
	}
	r.Message = put.Message
	l.mu.Lock()
	own := l.own[put.Message.ID]
	if own != nil && !own.settled {
		l.mu.Unlock()
		b.flush()
		l.mu.Lock()
		for !own.settled && !l.paused && !l.closed {
			l.changed.Wait()
		}
	}
	stopped := l.paused || l.closed
	if own != nil && l.own[put.Message.ID] == own {
		delete(l.own, put.Message.ID)
		r.Message = own.message
	}
	l.mu.Unlock()
	if stopped {
		b.list = nil
		return false
	}
	b.list = append(b.list, r)
	b.next = sequence + 1
	if len(b.list) >= handMessages {
		b.flush()
	}
	return true
}

// removal hands over a removal, after the messages before it.
func (b *handing) removal(sequence uint64, m *nats.Msg) {
	l := b.l
	b.flush()
	switch r, err := parseRemoval(sequence, m); {
	case err != nil:
		l.h.log.Error("the record of a removal cannot be read", "stream", l.stream, "sequence", sequence, "error", err)
	default:
		l.mu.Lock()
		epoch := l.epoch
		l.mu.Unlock()
		l.tellRemoved(r, epoch)
	}
	b.next = sequence + 1
}

// flush hands over what was gathered.
func (b *handing) flush() {
	if len(b.list) > 0 {
		b.l.feed.Stored(b.list)
		b.list = nil
	}
	b.passed(b.next - 1)
}

// passed says that everything up to a number was handed over.
func (b *handing) passed(last uint64) {
	l := b.l
	l.mu.Lock()
	l.fed = max(l.fed, last)
	b.next = l.fed + 1
	n := 0
	for n < len(l.waiting) && l.waiting[n].last <= l.fed {
		n++
	}
	over := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	l.mu.Unlock()
	for _, w := range over {
		w.done(nil)
	}
}
