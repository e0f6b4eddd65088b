package cluster

import (
	"context"
	"log/slog"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// laneOverhead is what a waiting message takes beside its bytes.
const laneOverhead = 64

// receive sorts what comes from other nodes into lanes. It does nothing else,
// because the client of NATS drops what it cannot put into the channel.
func (l *Links) receive() {
	look := time.NewTicker(rememberBeats * l.o.Beat)
	defer look.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-look.C:
			l.numbers.look()
		case m := <-l.data:
			l.sort(m.Data)
		}
	}
}

// sort puts a message into the lane of its publisher, unless it is a copy.
func (l *Links) sort(b []byte) {
	h, err := decodeHead(b)
	if err != nil {
		l.unreadable(err)
		return
	}
	if h.node == l.peer.Node {
		return
	}
	if refused := l.refused.Load(); refused != nil {
		if _, ok := (*refused)[h.node]; ok {
			l.counts.unreadable.Add(1)
			return
		}
	}
	if l.numbers.copied(h.node, h.number) {
		l.counts.copies.Add(1)
		return
	}
	size := int64(len(b) + laneOverhead)
	if l.waiting.Add(size) > int64(l.o.Backlog) {
		l.waiting.Add(-size)
		l.lost(messagesIn(b), "this node delivers more slowly than others publish", nil)
		if isQuestion(b) {
			l.refuse(h, b)
		}
		return
	}
	var key uint64
	for i := range len(h.node) {
		key = key*31 + uint64(h.node[i])
	}
	l.lanes[(h.origin+key)%uint64(len(l.lanes))].add(b)
}

func (l *Links) unreadable(err error) {
	l.counts.unreadable.Add(1)
	l.quiet.Log(context.Background(), l.log, slog.LevelWarn, loglimit.Key{Kind: "another node sends what this one cannot read"}, "error", err)
}

// run delivers what is in a lane until it is closed. A lane has the messages of
// some publishers.
func (l *Links) run(lane *mailbox[[]byte]) {
	var spare [][]byte
	for {
		list, closed := lane.take(spare)
		if closed {
			return
		}
		for i, b := range list {
			l.deliver(b)
			list[i] = nil
		}
		if spare = list[:0]; cap(list) > 1<<12 {
			spare = nil
		}
	}
}

func (l *Links) deliver(b []byte) {
	l.waiting.Add(-int64(len(b) + laneOverhead))
	if isQuestion(b) {
		l.counts.received.Add(1)
		l.answer(b)
		return
	}
	list, err := decodeEnvelopes(b)
	if err != nil {
		l.unreadable(err)
		return
	}
	for i := range list {
		l.counts.received.Add(1)
		l.peer.Deliver(&list[i])
	}
}
