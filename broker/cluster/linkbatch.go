package cluster

import (
	"encoding/binary"
	"sync"

	"github.com/hoofbeat/hoofbeat/broker"
)

// largestBatch is the size up to which publications share a message of NATS.
// Larger ones would gain nothing, and take memory on every node.
const largestBatch = 64 << 10

// batch gathers publications. Those that follow each other from one publisher to
// one subject become one message, so the order stays as it is.
type batch struct {
	l        *Links
	buffer   []byte // of all runs
	runs     []run
	at, size int // where the destination of the last publication is in buffer
}

// run is one message: publications with consecutive numbers.
type run struct {
	subject    string
	origin     uint64
	n          uint64
	start, end int // in buffer
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// Batch returns what gathers publications: see [broker.RelayBatch].
func (l *Links) Batch() broker.RelayBatch { return l.batch() }

func (l *Links) batch() *batch {
	b := batches.Get().(*batch)
	b.l = l
	return b
}

// Publish hands one message to the nodes that have subscribers for it. If the
// server in this process cannot keep up, it slows the publisher down, by a few
// milliseconds at a time.
func (l *Links) Publish(e *broker.Envelope) {
	b := l.batch()
	b.Add(e)
	b.Send()
}

// Add takes a message. It copies what it needs of it.
func (b *batch) Add(e *broker.Envelope) {
	same := len(b.runs) > 0 && e.Destination == string(b.buffer[b.at:b.at+b.size])
	var subject string
	if same {
		subject = b.runs[len(b.runs)-1].subject
	} else if e.User != "" {
		subject = b.l.subject.bucket(bucketOf(e.User))
	} else {
		subject = b.l.subject.publish(e.Destination)
	}
	if n := len(b.runs); n > 0 {
		r := &b.runs[n-1]
		if r.subject == subject && r.origin == e.Origin && r.end-r.start+sizeOf(e) <= b.l.batchSize {
			b.append(e, same)
			r.end, r.n = len(b.buffer), r.n+1
			b.buffer[r.start] = severalVersion
			return
		}
	}
	start := len(b.buffer)
	b.buffer = appendHead(b.buffer, envelopeVersion, b.l.peer.Node, 0, e.Origin)
	b.append(e, false)
	b.runs = append(b.runs, run{subject, e.Origin, 1, start, len(b.buffer)})
}

// append encodes a message, and its destination if it is not that of the one
// before.
func (b *batch) append(e *broker.Envelope, same bool) {
	destination := e.Destination
	if same {
		destination = ""
	}
	b.buffer = appendText(b.buffer, destination)
	if !same {
		b.at = len(b.buffer) - len(destination)
		b.size = len(destination)
	}
	b.buffer = appendRest(b.buffer, e)
}

// Send publishes what was added, in order. The batch must not be used any more.
func (b *batch) Send() {
	l, sent, lost := b.l, uint64(0), uint64(0)
	var failed error
	l.publishing.Lock()
	for _, r := range b.runs {
		message := b.buffer[r.start:r.end]
		binary.BigEndian.PutUint64(message[1+nodeIDSize:], l.number+1)
		l.number += r.n
		if err := l.o.Conn.Publish(r.subject, message); err != nil {
			lost, failed = lost+r.n, err
		} else {
			sent += r.n
		}
	}
	l.publishing.Unlock()
	l.counts.sent.Add(sent)
	if lost > 0 {
		l.lost(lost, "messages could not be handed to other nodes", failed)
	}
	b.release()
}

func (b *batch) release() {
	if cap(b.buffer) > 1<<20 {
		b.buffer = nil
	}
	clear(b.runs)
	b.l, b.buffer, b.runs, b.at, b.size = nil, b.buffer[:0], b.runs[:0], 0, 0
	batches.Put(b)
}
