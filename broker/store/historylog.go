package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
)

// historyLog is an entry in use. It implements [broker.HistoryLog].
//
// The engine republishes what it has stored, in that order. That goes into inbox,
// from where run hands it over. Numbers that are missing there are read from the
// stream: the connection was lost, the inbox was full, or the engine has not
// republished it.
type historyLog struct {
	h      *Histories
	feed   broker.HistoryFeed
	writer *writer
	stream string
	kept   string // subject of what is to be stored, without the destination
	idsAt  string // subject of the records of ids, without the time
	ids    onceIDs
	tidied time.Time // when ids was, for examine
	sub    *nats.Subscription

	removalsAt string // subject of the records of removals, without the destination
	swept      time.Time

	feeding sync.Mutex // held while feed is called

	mu      sync.Mutex
	changed sync.Cond
	entry   broker.History
	dirty   bool // the engine has other limits
	retry   time.Time
	paused  bool // what comes is ignored, and read later
	closed  bool
	lagging bool // the stream may have more than what came
	inbox   []*nats.Msg
	size    int    // bytes in inbox
	epoch   string // of the stream, that the feed knows; [removalEpoch] is that of the messages
	fed     uint64 // everything up to it was handed over
	own     map[string]*ownMessage
	waiting []storedAppend  // in the order of their numbers
	removed []removalRecord // in the order of their numbers
	ended   chan struct{}
}

// ownMessage is a message on its way to the engine.
type ownMessage struct {
	message *broker.Message
	settled bool   // the engine has confirmed it, or never will
	number  uint64 // 0 if it is not known to be stored
}

// storedAppend is a call of Append whose messages are stored, but not handed
// over yet.
type storedAppend struct {
	last  uint64
	since time.Time
	done  func(error)
}

// Headers of a message that the engine returns.
const (
	headerSubject  = "Nats-Subject"
	headerSequence = "Nats-Sequence"
	headerTime     = "Nats-Time-Stamp"
)

const (
	// inboxMessages and inboxBytes limit what waits to be handed over. More is
	// read from the stream later.
	inboxMessages = 16_384
	inboxBytes    = 32 << 20
	// handMessages is how many messages are handed over in one call.
	handMessages = 64
	// tailPatience is how long a stored message may be missing.
	tailPatience = 250 * time.Millisecond
	// limitsRetry is when limits that the engine has refused are tried again.
	limitsRetry = 30 * time.Second
	// recordOverhead is what the engine adds to a stored message.
	recordOverhead = 30
	// destinationBytes is the length of the hash of a destination.
	destinationBytes = 20
)

func openHistory(ctx context.Context, h *Histories, e broker.History, feed broker.HistoryFeed) (*historyLog, error) {
	name, token := h.names.stream(e.Destination)
	l := &historyLog{
		h: h, feed: feed, entry: e, stream: name, kept: h.names.kept + token + ".", paused: true,
		own: make(map[string]*ownMessage), ended: make(chan struct{}),
	}
	l.idsAt = l.kept + "i." // a hash of a destination is longer
	l.removalsAt = l.kept + "x."
	l.ids.reset()
	l.changed.L = &l.mu
	l.writer = newWriter(h.data, l, h.o.SyncAlways)
	var err error
	if l.sub, err = h.o.Data.Subscribe(h.names.live+token+".>", l.receive); err != nil {
		return nil, err
	}
	if err = l.sub.SetPendingLimits(-1, -1); err == nil {
		err = l.begin(ctx)
	}
	if err != nil {
		_ = l.sub.Unsubscribe() // fails only if the connection is closed
		return nil, err
	}
	go l.writer.run()
	go l.run()
	return l, nil
}

func (l *historyLog) limits() broker.History {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entry
}

// begin makes the stream what it should be. It tells the feed what is kept, if
// that is not what the feed knows.
func (l *historyLog) begin(ctx context.Context) error {
	l.feeding.Lock()
	defer l.feeding.Unlock()
	l.mu.Lock()
	entry, fed, epoch := l.entry, l.fed, l.epoch
	l.dirty = false
	l.mu.Unlock()
	state, err := l.h.ensure(ctx, entry, fed)
	if err != nil {
		l.mu.Lock()
		l.dirty = true
		l.mu.Unlock()
		return err
	}
	if state.epoch == epoch {
		return nil
	}
	if err := l.load(ctx, state); err != nil {
		return fmt.Errorf("reading the stream %s: %w", l.stream, err)
	}
	l.mu.Lock()
	l.epoch, l.fed = state.epoch, state.LastSeq
	l.mu.Unlock()
	return nil
}

// load tells the feed what the stream has. The caller holds feeding.
func (l *historyLog) load(ctx context.Context, state historyState) error {
	l.feed.Begin(broker.HistoryBeginning{Epoch: state.epoch, First: max(state.FirstSeq, 1), Last: state.LastSeq, Full: state.full})
	l.ids.reset()
	l.forgetRemovals()
	list := make([]broker.HistoryRecord, 0, 1024)
	found, damaged := uint64(0), 0
	err := scan(ctx, l.h.o.Data, l.stream, state.StreamState, func(m *nats.Msg, sequence uint64) {
		if sequence > state.LastSeq {
			return
		}
		found++
		if l.isIDs(m) {
			if err := l.ids.read(l.idsAt, m.Header.Get(headerSubject), m.Data); err != nil {
				damaged++
			}
			return
		}
		if l.isRemoval(m) {
			r, err := parseRemoval(sequence, m)
			if err != nil {
				damaged++
				return
			}
			l.feed.Kept(list)
			list = list[:0]
			l.tellRemoved(r, state.epoch)
			return
		}
		r, err := record(sequence, m)
		if err != nil {
			damaged++
			return
		}
		if list = append(list, r); len(list) == cap(list) {
			l.feed.Kept(list)
			list = list[:0]
		}
	})
	if err != nil {
		return err
	}
	l.feed.Kept(list)
	if damaged > 0 {
		l.h.log.Error("messages of a history cannot be read; they stay in the store and are not delivered", "destination", l.entry.Destination, "messages", damaged)
	}
	if found < state.Msgs {
		switch now, err := l.state(ctx); {
		case err != nil:
			return err
		case now.FirstSeq == state.FirstSeq && now.LastSeq == state.LastSeq && now.Msgs == state.Msgs:
			return fmt.Errorf("it should have %d messages, and %d were found", state.Msgs, found)
		}
	}
	for once, at := range l.ids.remembered() {
		l.feed.Remembered(once, at)
	}
	l.feed.Ready()
	return nil
}

// record returns what a broker must know of a message that the engine has
// returned, without the message.
func record(sequence uint64, m *nats.Msg) (broker.HistoryRecord, error) {
	head, err := parsePayloadHead(m.Data)
	if err != nil {
		return broker.HistoryRecord{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err != nil {
		return broker.HistoryRecord{}, fmt.Errorf("%w: a message without a time", errAnswer)
	}
	size := recordOverhead + len(m.Header.Get(headerSubject)) + len(m.Data)
	if m.Header.Get(headerBatch) != "" { // headers of the message itself
		size += 64
		for _, name := range []string{headerBatch, headerBatchSeq, headerCommit} {
			size += len(name) + len(m.Header.Get(name)) + 4
		}
	}
	if id := m.Header.Get(headerID); id != "" {
		size += len(headerID) + len(id) + 4 + idRecordBytes
	}
	return broker.HistoryRecord{Number: sequence, Time: at, Size: size, Destination: head.queue}, nil
}

// Append implements [broker.HistoryLog]. At most 1,000 messages can be stored
// together, with the record of their ids.
func (l *historyLog) Append(list []broker.HistoryPut, done func(error)) {
	done = orNothing(done)
	if len(list) == 0 {
		done(nil)
		return
	}
	x, err := l.write(list)
	if err != nil {
		done(err)
		return
	}
	x.done = func(err error) {
		if err != nil {
			done(err)
			return
		}
		l.confirmed(x.last, done)
	}
	l.mu.Lock()
	for i := range x.puts {
		l.own[list[i].Message.ID] = x.puts[i].own
	}
	l.mu.Unlock()
	l.writer.add(x)
}

// write encodes messages.
func (l *historyLog) write(list []broker.HistoryPut) (*write, error) {
	h := l.h
	if err := h.Err(); err != nil {
		return nil, err
	}
	if n := len(list); n >= maxBatch && (n > maxBatch || slices.ContainsFunc(list, func(p broker.HistoryPut) bool { return p.Once != "" })) {
		return nil, fmt.Errorf("at most %d messages can be stored together, with the record of their ids; these are %d", maxBatch, n)
	}
	if h.o.Room != nil {
		if err := h.o.Room(); err != nil {
			return nil, err
		}
	}
	x := &write{puts: make([]put, len(list))}
	for i := range list {
		if l.ids.knows(list[i].Once, time.Now()) {
			return nil, broker.ErrDuplicate
		}
		p := broker.QueuePut{Queue: list[i].Destination, Message: list[i].Message}
		data := appendPayload(make([]byte, 0, payloadSize(&p)), &p)
		if err := h.o.fits(data); err != nil {
			return nil, err
		}
		x.puts[i] = put{subject: l.kept + hashed(list[i].Destination, destinationBytes), data: data, once: list[i].Once, own: &ownMessage{message: list[i].Message}}
		x.bytes += len(data)
	}
	return x, nil
}

// before implements writeOwner.
func (l *historyLog) before(*write) {}

// dropped implements writeOwner.
func (l *historyLog) dropped(x *write) { l.settle(x) }

// finished implements writeOwner.
func (l *historyLog) finished(x *write, first uint64, err error) error {
	if err == nil {
		x.last = first + uint64(len(x.puts)) - 1
	}
	l.settle(x)
	var no *refusal
	switch {
	case isRefusal(err, codeDuplicate):
		return broker.ErrDuplicate
	case err == nil, errors.Is(err, broker.ErrDuplicate), errors.As(err, &no):
		return err
	}
	return l.h.watcher.unfinished(err)
}

// settle says that the outcome of a write is known, or never will be.
func (l *historyLog) settle(x *write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range x.puts {
		own := x.puts[i].own
		own.settled = true
		if x.last > 0 {
			own.number = x.last - uint64(len(x.puts)-1-i) //nolint:gosec // within the list
		}
		if id := own.message.ID; l.own[id] == own && own.number <= l.fed {
			delete(l.own, id) // it is not stored, or was handed over
		}
	}
	l.changed.Broadcast()
}

// confirmed calls done when everything up to a number was handed over.
func (l *historyLog) confirmed(last uint64, done func(error)) {
	l.mu.Lock()
	if last > l.fed && !l.paused && !l.closed {
		l.waiting = append(l.waiting, storedAppend{last, time.Now(), done})
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	done(nil)
}

// SetLimits implements [broker.HistoryLog]. The engine gets them within a
// moment.
func (l *historyLog) SetLimits(h broker.History) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entry, l.dirty, l.retry = h, true, time.Time{}
}

// examine is called four times a second: it sets the limits, and looks whether
// something is missing.
func (l *historyLog) examine() {
	l.mu.Lock()
	dirty, entry, fed := l.dirty && time.Now().After(l.retry), l.entry, l.fed
	if dirty {
		l.dirty = false
	}
	if len(l.waiting) > 0 && time.Since(l.waiting[0].since) > tailPatience {
		l.lagging = true
		l.changed.Broadcast()
	}
	l.mu.Unlock()
	l.forgetIDs()
	l.sweepRemovals()
	if !dirty {
		return
	}
	ctx, cancel := context.WithTimeout(l.h.ctx, apiTimeout)
	defer cancel()
	err := l.h.watcher.connected(ctx, func(ctx context.Context) error {
		_, err := l.h.ensure(ctx, entry, fed)
		return err
	})
	if err != nil {
		l.h.log.Error("the limits of a history could not be changed in the store; this is tried again", "destination", entry.Destination, "error", err)
		l.mu.Lock()
		l.dirty, l.retry = true, time.Now().Add(limitsRetry)
		l.mu.Unlock()
	}
}

// Fetch implements [broker.HistoryLog].
func (l *historyLog) Fetch(ctx context.Context, numbers []uint64) ([]*broker.Message, error) {
	answers := make([]*nats.Msg, len(numbers))
	err := together(ctx, len(numbers), func(i int, done func(error)) {
		l.h.control.request("$JS.API.DIRECT.GET."+l.stream, []byte(`{"seq":`+strconv.FormatUint(numbers[i], 10)+`}`), func(m *nats.Msg, err error) {
			answers[i] = m
			done(err)
		})
	})
	if err != nil {
		return nil, l.h.watcher.unfinished(err)
	}
	list := make([]*broker.Message, len(numbers))
	for i, m := range answers {
		switch status := m.Header.Get("Status"); status {
		case "":
		case "404":
			continue
		default:
			return nil, fmt.Errorf("%w: %s %s", errAnswer, status, m.Header.Get("Description"))
		}
		put, err := parsePayload(m.Data)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", numbers[i], err)
		}
		list[i] = put.Message
	}
	return list, nil
}

// pause ends all calls that wait, and ignores what comes until resume.
func (l *historyLog) pause(err error) {
	l.mu.Lock()
	l.paused, l.inbox, l.size = true, nil, 0
	waiting := l.waiting
	l.waiting = nil
	for id, own := range l.own {
		own.settled = true
		delete(l.own, id)
	}
	l.changed.Broadcast()
	l.mu.Unlock()
	for _, w := range waiting {
		w.done(nil) // it is stored, and handed over later
	}
	l.writer.shut(err)
}

// resume goes on after begin.
func (l *historyLog) resume() {
	l.mu.Lock()
	l.paused, l.lagging = false, true
	l.changed.Broadcast()
	l.mu.Unlock()
	l.writer.open()
}

// Close implements [broker.HistoryLog].
func (l *historyLog) Close() {
	l.writer.settle(time.Now().Add(closeTimeout))
	l.end()
}

// end is Close without what is on its way.
func (l *historyLog) end() {
	l.h.forget(l)
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if !again {
		l.pause(errClosed)
		_ = l.sub.Unsubscribe() // fails only if the connection is closed
		l.writer.close()
	}
	<-l.ended
}

// state returns the state of the stream.
func (l *historyLog) state(ctx context.Context) (jetstream.StreamState, error) {
	var info jetstream.StreamInfo
	m, err := l.h.o.Control.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+l.stream, nil)
	if err != nil {
		return info.State, err
	}
	return info.State, apiAnswer(m, &info)
}
