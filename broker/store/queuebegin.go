package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// begin makes the streams what they should be, and counts what they hold.
func (q *Queues) begin(ctx context.Context) error {
	js, err := jetstream.New(q.o.Control)
	if err != nil {
		return err
	}
	messages := q.ledger.limits.Messages
	last := uint64(0)
	q.ledger.reset()
	q.delays.reset()
	q.ids.reset()
	switch stream, err := js.Stream(ctx, q.names.stream); {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return err
	default:
		state := stream.CachedInfo().State
		last = state.LastSeq
		if err := q.recount(ctx, state); err != nil {
			return fmt.Errorf("counting the messages in %s: %w", q.names.stream, err)
		}
		// The engine deletes what is above a limit that is lowered.
		messages = max(messages, q.ledger.largest())
	}
	stream, err := js.CreateOrUpdateStream(ctx, q.names.streamConfig(&q.o, messages))
	if err != nil {
		return fmt.Errorf("the stream %s: %w", q.names.stream, err)
	}
	records, err := js.CreateOrUpdateStream(ctx, q.names.attemptsConfig(&q.o))
	if err != nil {
		return fmt.Errorf("the stream %s: %w", q.names.attempts, err)
	}
	if err := q.loadAttempts(ctx, records.CachedInfo().State); err != nil {
		return fmt.Errorf("reading %s: %w", q.names.attempts, err)
	}
	if err := q.consumers.begin(ctx, stream); err != nil {
		return fmt.Errorf("the consumers of %s: %w", q.names.stream, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.err = nil
	q.start.Store(last)
	q.data.open()
	q.control.open()
	q.writer.open()
	q.delays.resume()
	return nil
}

// recount counts the messages of the stream, and reads those that are delayed.
func (q *Queues) recount(ctx context.Context, state jetstream.StreamState) error {
	found := uint64(0)
	moved := make(map[uint64]uint64) // sequences of messages that were moved, and of their marks
	bad := func(sequence uint64, err error) {
		q.log.Error("a message of a queue cannot be read; it stays in the store and is not delivered", "sequence", sequence, "error", err)
	}
	err := scan(ctx, q.o.Data, q.names.stream, state, func(m *nats.Msg, sequence uint64) {
		found++
		subject, data := m.Header.Get(headerSubject), m.Data
		if other, err := q.loadOther(subject, sequence, data, moved); other {
			if err != nil {
				bad(sequence, err)
			}
			return
		}
		h, err := parsePayloadHead(data)
		if err != nil {
			bad(sequence, err)
			return
		}
		q.ledger.load(h, sequence, storedAt(m), q.names.isReplacement(subject))
	})
	if err != nil {
		return err
	}
	if found < state.Msgs {
		return fmt.Errorf("the stream should have %d messages, and %d were found", state.Msgs, found)
	}
	return q.finishMoves(ctx, moved)
}

// loadOther reads what is not in a queue, and reports whether it was that.
func (q *Queues) loadOther(subject string, sequence uint64, data []byte, moved map[uint64]uint64) (other bool, err error) {
	if strings.HasPrefix(subject, q.names.ids) {
		return true, q.ids.read(q.names.ids, subject, data)
	}
	delay, mark := q.names.isDelay(subject)
	switch {
	case mark && delay:
		of, err := strconv.ParseUint(string(data), 10, 64)
		if err == nil {
			moved[of] = sequence
		}
		return true, err
	case delay:
		return true, q.delays.load(sequence, data)
	}
	return false, nil
}

// finishMoves removes delayed messages that an earlier run has delivered.
func (q *Queues) finishMoves(ctx context.Context, moved map[uint64]uint64) error {
	list := q.delays.forget(moved)
	for of := range moved {
		list = append(list, of)
	}
	marks := slices.Collect(maps.Values(moved))
	for _, sequences := range [][]uint64{list, marks} { // the marks are last
		err := together(ctx, len(sequences), func(i int, done func(error)) {
			go func() { done(q.deleteNow(ctx, sequences[i])) }()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteNow deletes a message before the queues are open.
func (q *Queues) deleteNow(ctx context.Context, sequence uint64) error {
	m, err := q.o.Control.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+q.names.stream, deleteRequest(sequence))
	if err == nil {
		err = apiAnswer(m, nil)
	}
	if isGone(err) {
		err = nil
	}
	return err
}

const (
	scanMessages = 10_000
	scanBytes    = 8 << 20
	// scanSilence is how long the engine may say nothing while a stream is read.
	scanSilence = 20 * time.Second
)

// storedAt returns when the engine has stored a message that it returns, in
// milliseconds since 1970, or 0 if it does not say so.
func storedAt(m *nats.Msg) int64 {
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err != nil {
		return 0
	}
	return at.UnixMilli()
}

// moment returns the time of a number of milliseconds since 1970, and the zero
// time for 0.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// scan calls each for the messages of a stream from state.FirstSeq on, in their
// order.
func scan(ctx context.Context, conn *nats.Conn, stream string, state jetstream.StreamState, each func(m *nats.Msg, sequence uint64)) error {
	if state.Msgs == 0 {
		return nil
	}
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only if the connection is closed
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	// One clock for all messages, and only while none is here: a time-out of each
	// takes as long as all that is done with it.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(scanSilence, func() { cancel(errSilent) })
	silence.Stop()
	read := func() (*nats.Msg, error) {
		if here, _, err := sub.Pending(); err != nil || here == 0 {
			silence.Reset(scanSilence)
			defer silence.Stop()
		}
		m, err := sub.NextMsgWithContext(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return m, err
	}
	for next := max(state.FirstSeq, 1); next <= state.LastSeq; {
		request := fmt.Sprintf(`{"seq":%d,"batch":%d,"max_bytes":%d}`, next, scanMessages, scanBytes)
		if err := conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, []byte(request)); err != nil {
			return err
		}
		last, err := scanBatch(read, each)
		if err != nil {
			return err
		}
		if last == 0 {
			return nil
		}
		next = last + 1
	}
	return nil
}

var errSilent = fmt.Errorf("the engine said nothing for %v: %w", scanSilence, context.DeadlineExceeded)

// scanBatch reads one batch, and returns its last sequence, or 0 if there is
// nothing more.
func scanBatch(read func() (*nats.Msg, error), each func(*nats.Msg, uint64)) (last uint64, err error) {
	for {
		m, err := read()
		if err != nil {
			return 0, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204": // the end of the batch
			return last, nil
		case "404":
			return last, nil
		default:
			return 0, fmt.Errorf("%w: %s %s", errAnswer, status, m.Header.Get("Description"))
		}
		sequence, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: a message without a sequence", errAnswer)
		}
		each(m, sequence)
		last = sequence
	}
}
