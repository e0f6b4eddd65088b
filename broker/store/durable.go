package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Durables keeps durable subscriptions: their messages in one stream, each once,
// and two records for each subscription in a bucket. It implements
// [broker.DurableStore]. All methods are safe for concurrent use.
//
// If the engine fails or does not answer, all calls that wait get an error, and
// new calls are refused until the engine works again. What was stored stays.
type Durables struct {
	o        Options
	log      *slog.Logger
	names    durableNames
	data     *link
	control  *link
	messages *group // puts into the stream
	records  *group // puts into the bucket
	removal  *removal

	mu     sync.Mutex
	err    error // why it does not work, nil if it does
	closed bool
	opened bool   // begin has succeeded once
	last   uint64 // the greatest sequence that the engine has confirmed
	// defined are the latest definitions, by their subjects, which subscriptions of
	// the same user and name share.
	defined map[string]definedAt

	watcher watcher
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

// OpenDurables opens the durable subscriptions and creates their streams if they
// do not exist. It waits for that until ctx ends. Of o, Limits has no meaning; if
// MaxBytes is 0, the files have no limit of their own.
func OpenDurables(ctx context.Context, o Options) (*Durables, error) {
	data, control, err := o.connect()
	if err != nil {
		return nil, err
	}
	s := &Durables{o: o, log: o.Logger, names: durableNamesOf(o.Prefix), data: data, control: control, err: errStarting, defined: make(map[string]definedAt)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.watcher = watcher{
		o: &s.o, store: "durable subscriptions", links: [2]*link{data, control}, fail: s.fail, begin: s.begin,
		begun: func() { s.removal.again() }, failed: make(chan struct{}, 1),
	}
	s.messages = newGroup(s.data, o.SyncAlways)
	s.records = newGroup(s.control, o.SyncAlways)
	s.removal = newRemoval(s)
	if err := s.watcher.connected(ctx, s.begin); err != nil {
		s.data.close()
		s.control.close()
		s.stop()
		return nil, fmt.Errorf("store: opening the durable subscriptions: %w", err)
	}
	s.tasks.Go(func() { s.watcher.run(s.ctx) })
	s.tasks.Go(s.removal.run)
	return s, nil
}

// begin makes the streams what they should be.
func (s *Durables) begin(ctx context.Context) error {
	js, err := jetstream.New(s.o.Control)
	if err != nil {
		return err
	}
	stream, err := makeStream(ctx, js, s.names.streamConfig(&s.o))
	if err != nil {
		return err
	}
	if _, err := makeStream(ctx, js, s.names.recordsConfig(&s.o)); err != nil {
		return err
	}
	state := stream.CachedInfo().State
	s.mu.Lock()
	opened, known := s.opened, s.last
	s.mu.Unlock()
	if opened { // this is after a failure
		if err := s.dropUnknown(ctx, state, known); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.err, s.opened, s.last = nil, true, max(s.last, state.LastSeq)
	s.data.open()
	s.control.open()
	s.messages.open()
	s.records.open()
	return nil
}

// makeStream makes a stream what it should be. The engine deletes what is above a
// limit that is lowered, so the limit stays above what is there.
func makeStream(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig) (jetstream.Stream, error) {
	switch stream, err := js.Stream(ctx, config.Name); {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return nil, fmt.Errorf("the stream %s: %w", config.Name, err)
	case config.MaxBytes > 0:
		config.MaxBytes = max(config.MaxBytes, int64(min(stream.CachedInfo().State.Bytes, math.MaxInt64))) //nolint:gosec // bounded
	}
	stream, err := js.CreateOrUpdateStream(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("the stream %s: %w", config.Name, err)
	}
	return stream, nil
}

// dropUnknown removes the messages that the engine has stored without our
// knowledge: whoever sent them was told that this is not known.
func (s *Durables) dropUnknown(ctx context.Context, state jetstream.StreamState, known uint64) error {
	state.FirstSeq = max(state.FirstSeq, known+1)
	if state.FirstSeq > state.LastSeq {
		return nil
	}
	return scan(ctx, s.o.Data, s.names.stream, state, func(_ *nats.Msg, sequence uint64) {
		s.removal.unwanted(sequence)
	})
}

// Close ends the use of the streams. It waits up to five seconds for what is on
// its way. All calls that still wait get an error.
func (s *Durables) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	end := time.Now().Add(closeTimeout)
	s.messages.settle(end)
	s.records.settle(end)
	s.removal.settle(end)
	s.stop()
	s.halt(errClosed)
	s.tasks.Wait()
	s.data.close()
	s.control.close()
	return nil
}

// Err returns why the durable subscriptions cannot be stored now, or nil.
func (s *Durables) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// fail stops the use of the engine until it works again.
func (s *Durables) fail(err error) {
	s.mu.Lock()
	first := s.err == nil && !s.closed
	s.mu.Unlock()
	if !first {
		return
	}
	s.log.Error("the store of the durable subscriptions does not work; nothing is stored for them until it does", "error", err)
	s.halt(s.watcher.unfinished(err))
	s.watcher.again()
}

// halt ends everything that waits for the engine.
func (s *Durables) halt(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.messages.shut(err)
	s.records.shut(err)
	s.data.shut(err)
	s.control.shut(err)
}

// Append implements [broker.DurableStore]. At most 1,000 messages can be stored
// together.
func (s *Durables) Append(list []broker.DurablePut, done func(uint64, error)) {
	if err := s.Err(); err != nil {
		done(0, s.watcher.unfinished(err))
		return
	}
	if n := len(list); n == 0 || n > maxBatch {
		done(0, fmt.Errorf("1 to %d messages can be stored together, these are %d", maxBatch, n))
		return
	}
	if s.o.Room != nil {
		if err := s.o.Room(); err != nil {
			done(0, err)
			return
		}
	}
	now := time.Now()
	w := &groupWrite{done: func(first uint64, err error) { s.appended(list, first, err, done) }}
	for i := range list {
		data := appendDurable(nil, &list[i], now)
		if err := s.o.fits(data); err != nil {
			done(0, err)
			return
		}
		w.add(s.names.subject(list[i].Message.Destination), data)
	}
	s.messages.put(w)
}

// appended is called with the answer of the engine.
func (s *Durables) appended(list []broker.DurablePut, first uint64, err error, done func(uint64, error)) {
	if err != nil {
		done(0, s.refused(err, "the messages", s.o.MaxBytes))
		return
	}
	s.mu.Lock()
	s.last = max(s.last, first+uint64(len(list))-1)
	s.mu.Unlock()
	for i := range list {
		s.removal.stored(first+uint64(i), list[i].Wanted) //nolint:gosec // an index
	}
	done(first, nil)
}

// refused returns the error for the client about one of the engine. what takes
// up to limit bytes.
func (s *Durables) refused(err error, what string, limit int64) error {
	var no *refusal
	switch {
	case !errors.As(err, &no):
		return s.watcher.unfinished(err)
	case no.ErrCode == codeMaximum:
		return &broker.QueueFullError{Key: keyDisk, Limit: limit, Text: fmt.Sprintf("store-full: %s of durable subscriptions take all of their %d bytes, which are a part of store.disk", what, limit)}
	}
	return no
}

// Settled implements [broker.DurableStore].
func (s *Durables) Settled(sequence uint64) { s.removal.settled(sequence) }

// Create implements [broker.DurableStore].
func (s *Durables) Create(d broker.StoredDurable, done func(error)) {
	s.mu.Lock()
	d.After = s.last
	s.mu.Unlock()
	s.putRecord(s.names.definition(d.User, d.Name), encodeDefinition(d), func(sequence uint64, err error) {
		if err == nil {
			s.define(d, sequence)
		}
		done(err)
	})
}

// Save implements [broker.DurableStore].
func (s *Durables) Save(id string, p broker.DurablePosition, done func(error)) {
	s.putRecord(s.names.position(id), encodePosition(p), func(_ uint64, err error) { done(err) })
}

// definedAt is where the definition of a subscription is.
type definedAt struct {
	id       string
	sequence uint64
}

// define records where a definition is.
func (s *Durables) define(d broker.StoredDurable, sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defined[s.names.definition(d.User, d.Name)] = definedAt{d.ID, sequence}
}

// staying returns the sequence of the first definition that stays when d is
// deleted, 0 if that is not known: those of later subscriptions stay.
func (s *Durables) staying(d broker.StoredDurable) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.defined[s.names.definition(d.User, d.Name)]
	if at.id == d.ID {
		return at.sequence + 1
	}
	return at.sequence
}

// undefine undoes define.
func (s *Durables) undefine(d broker.StoredDurable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if subject := s.names.definition(d.User, d.Name); s.defined[subject].id == d.ID {
		delete(s.defined, subject)
	}
}

// putRecord puts a record into the bucket. done gets its sequence.
func (s *Durables) putRecord(subject string, data []byte, done func(uint64, error)) {
	if err := s.Err(); err != nil {
		done(0, s.watcher.unfinished(err))
		return
	}
	w := &groupWrite{done: func(sequence uint64, err error) {
		if err != nil {
			err = s.refused(err, "the records", s.o.maxRecords())
		}
		done(sequence, err)
	}}
	w.add(subject, data)
	s.records.put(w)
}

// Delete implements [broker.DurableStore].
func (s *Durables) Delete(d broker.StoredDurable, done func(error)) {
	if err := s.Err(); err != nil {
		done(s.watcher.unfinished(err))
		return
	}
	// Without its definition a position has no meaning: it is removed at the next
	// start at the latest. A later definition of the same user and name is another
	// subscription, which stays.
	staying := func() uint64 { return s.staying(d) }
	s.purge(s.names.definition(d.User, d.Name), staying, func(err error) {
		if err == nil {
			s.undefine(d)
			s.purge(s.names.position(d.ID), nil, func(error) {})
		}
		done(err)
	})
}

// purge removes the records of a subject: those before the sequence that staying
// returns when all calls before have ended, or all if that is 0 or staying is nil.
func (s *Durables) purge(subject string, staying func() uint64, done func(error)) {
	s.records.after(func(err error) {
		if err != nil {
			done(s.watcher.unfinished(err))
			return
		}
		ask := `{"filter":` + strconv.Quote(subject)
		if staying != nil {
			if first := staying(); first != 0 {
				ask += `,"seq":` + strconv.FormatUint(first, 10)
			}
		}
		s.control.request("$JS.API.STREAM.PURGE."+s.names.records, []byte(ask+"}"), func(m *nats.Msg, err error) {
			if err == nil {
				err = apiAnswer(m, nil)
			}
			done(s.watcher.unfinished(err))
		})
	})
}
