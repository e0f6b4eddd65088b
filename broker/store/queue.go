// Package store keeps the work queues, the delayed messages, the durable
// subscriptions and the histories of topics of a broker on disk, in streams of
// JetStream, the persistence of NATS. It works with an engine in this process (package
// broker/cluster/embedded) or elsewhere: it needs connections only.
//
//	queues, err := store.OpenQueues(ctx, store.Options{Data: data, Control: control})
//	durables, err := store.OpenDurables(ctx, store.Options{Data: data, Control: control})
//	histories, err := store.OpenHistories(ctx, store.Options{Data: data, Control: control}, entries)
//
// # Files
//
// In reading order: queue (the type, Append), queuewatch (failures), queuebegin
// (start and recount), queuenames (streams, subjects), queuepayload (the format of
// a stored message), queuelimits, queueledger, queueentries and queuedue (what is
// stored, for limits, lists and expiry), queuelink and queueanswers (questions to
// the engine), queuewriter (messages on their way, group commit), queueconsumers,
// queuesource, queuereader, queuepull and queuesettle (reading), queueattempts,
// queuereplace, queuebrowse. Then delays, delayreader and delaypayload (delayed
// messages), and onceids (ids of messages that are accepted once).
//
// Histories: history (the type, failures), historystream (the stream of an entry),
// historylog (an entry in use, Append, Fetch), historyfeed (what was stored, in its
// order), historyids (ids of messages that are accepted once). They use the link, the writer and the format of the queues.
//
// Durable subscriptions: durable (the type, failures, Append), durablenames,
// durablegroup (messages on their way, group commit), durablerecords (formats,
// Load), durableremoval (what nobody wants any more).
//
// # Locks
//
// In this order, and none is held while a function of the caller runs:
// source.mu, Queues.mu, consumers.mu, ledger.mu; and the alarm of the delays,
// delays.mu, their schedule. Those of link, writer, attempts and onceIDs are
// alone. Those of Durables, group and removal are alone, too.
// A historyLog's feeding is held while a feed is called; Histories.mu comes before
// historyLog.mu.
package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

const (
	duplicates      = 2 * time.Minute  // how long the engine remembers QueuePut.Once
	ackWait         = 15 * time.Second // until the messages of a dead node come again
	progressEvery   = 5 * time.Second  // how often the engine hears that a message is held
	inactive        = 24 * time.Hour   // until a consumer that nobody uses is cleaned up
	attemptsBytes   = 64 << 20
	idBytes         = 64 << 20
	attemptsMessage = 1 << 10
	watchEvery      = 250 * time.Millisecond
	retryEvery      = 250 * time.Millisecond
	beginTimeout    = 5 * time.Minute // to count a large store
	apiTimeout      = 10 * time.Second
	closeTimeout    = 5 * time.Second
)

// Options configure [OpenQueues], [OpenDurables] and [OpenHistories]. Data and Control are required.
type Options struct {
	// Data and Control are connections to the engine: one for messages, one for
	// acknowledgements and everything else, so that these never wait behind
	// messages. The caller closes them after [Queues.Close].
	Data, Control *nats.Conn
	// Prefix begins the names of streams, in upper case, and of subjects.
	// Default "hb".
	Prefix string
	Limits Limits
	// MaxBytes limits the files of the queues. The default is enough for
	// Limits.TotalBytes. The engine reserves it: all its streams together must
	// not exceed its disk.
	MaxBytes int64
	// SyncAlways says that the engine syncs each message before it answers. Then
	// the messages that come while others are on their way are stored together.
	SyncAlways bool
	// Health says why the engine cannot store or deliver; it is asked four times
	// a second. Nil means that only lost connections and late answers count.
	Health func() error
	// Room says why nothing should be stored now, such as a disk that is almost
	// full. It is asked for each message, so it must be quick. Nil means that
	// there is room.
	Room func() error
	// Timeout is how long the engine may take to answer. Default 10 s.
	Timeout time.Duration
	// Logger receives what an operator must know. Nil means no logging.
	Logger *slog.Logger

	maxMessage int32
}

// connect completes the options and begins the use of the connections.
func (o *Options) connect() (data, control *link, err error) {
	if o.Data == nil || o.Control == nil {
		return nil, nil, errors.New("store: Options.Data and Options.Control are required")
	}
	if o.Timeout <= 0 {
		o.Timeout = apiTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.maxMessage = int32(min(o.Data.MaxPayload(), 1<<30)) //nolint:gosec // bounded
	if data, err = newLink(o.Data); err != nil {
		return nil, nil, fmt.Errorf("store: %w", err)
	}
	if control, err = newLink(o.Control); err != nil {
		data.close()
		return nil, nil, fmt.Errorf("store: %w", err)
	}
	return data, control, nil
}

func (o *Options) maxBytes() int64 {
	l := o.Limits.complete()
	wanted := int64(-1)
	if l.TotalBytes < 1<<60 && l.DelayedBytes < 1<<60 {
		wanted = withNames(l.TotalBytes) + withNames(l.DelayedBytes) + idBytes
	}
	switch {
	case o.MaxBytes <= 0:
		return wanted
	case wanted < 0:
		return o.MaxBytes
	}
	return min(wanted, o.MaxBytes)
}

// maxHeaders is the room in a message for the headers of a publication.
const maxHeaders = 1 << 10

// fits returns an error if a stored message is too large.
func (o *Options) fits(data []byte) error {
	if largest := int(o.maxMessage) - maxHeaders; len(data) > largest {
		return fmt.Errorf("a message of %d bytes is too large for the store: at most %d with its headers", len(data), largest)
	}
	return nil
}

// withNames adds names and headers of records.
func withNames(bytes int64) int64 { return bytes + bytes/4 + 16<<20 }

// maxAttempts is the same for the bucket of the attempts.
func (o *Options) maxAttempts() int64 {
	if o.MaxBytes <= 0 {
		return attemptsBytes
	}
	return min(attemptsBytes, max(o.MaxBytes/16, 64<<10))
}

// Queues keeps work queues and delayed messages in a stream. It implements
// [broker.DelayStore]. All methods are safe for concurrent use.
//
// If the engine fails or does not answer, all calls that wait get an error, the
// readers fail, and new calls are refused until the engine works again. Then the
// messages are counted anew, which may take seconds in a large store.
type Queues struct {
	o         Options
	log       *slog.Logger
	names     names
	ledger    *ledger
	data      *link
	control   *link
	writer    *writer
	consumers *consumers
	delays    *delays
	attempts  attempts
	ids       onceIDs
	start     atomic.Uint64 // sequences up to it were stored before this start

	mu      sync.Mutex
	err     error // why it does not work, nil if it does
	closed  bool
	sources map[string]*source // queues that are read
	reading atomic.Int32       // their number

	watcher watcher
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	tasks   sync.WaitGroup

	leaving sync.WaitGroup // sources without readers
}

var _ broker.DelayStore = (*Queues)(nil)

// OpenQueues opens the queues, creates their streams if they do not exist, and
// counts what they hold. It waits for that until ctx ends.
func OpenQueues(ctx context.Context, o Options) (*Queues, error) {
	data, control, err := o.connect()
	if err != nil {
		return nil, err
	}
	q := &Queues{
		o: o, log: o.Logger, names: namesOf(o.Prefix), data: data, control: control, ledger: newLedger(o.Limits), err: errStarting,
		sources: make(map[string]*source),
	}
	q.ctx, q.stop = context.WithCancel(context.Background())
	q.watcher = watcher{o: &q.o, store: "queues", links: [2]*link{data, control}, fail: q.fail, begin: q.begin, failed: make(chan struct{}, 1)}
	q.writer = newWriter(q.data, q, o.SyncAlways)
	q.consumers = newConsumers(q)
	q.delays = newDelays(q)
	if err := q.watcher.connected(ctx, q.begin); err != nil {
		q.data.close()
		q.control.close()
		q.stop()
		return nil, fmt.Errorf("store: opening the queues: %w", err)
	}
	go q.writer.run()
	q.tasks.Go(func() { q.watcher.run(q.ctx) })
	q.tasks.Go(q.progress)
	q.tasks.Go(q.consumers.run)
	q.tasks.Go(q.delays.run)
	q.tasks.Go(q.forgetIDs)
	return q, nil
}

var errClosed = errors.New("the store is closed")

// Close ends the use of the streams. It waits up to five seconds for messages
// that are on their way, and for the acknowledgements of readers that were closed
// before. All calls that still wait get an error.
func (q *Queues) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.mu.Unlock()
	q.writer.settle(time.Now().Add(closeTimeout))
	q.left(closeTimeout)
	q.stop()
	q.halt(errClosed)
	q.writer.close()
	q.tasks.Wait()
	q.leaving.Wait()
	q.data.close()
	q.control.close()
	return nil
}

// spawn runs a function that Close waits for, unless the queues are closed.
func (q *Queues) spawn(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.leaving.Go(f)
	return true
}

// left waits until all readers that were closed have left, at most that long.
func (q *Queues) left(limit time.Duration) {
	done := make(chan struct{})
	go func() { q.leaving.Wait(); close(done) }()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

// Err returns why the queues do not work now, or nil.
func (q *Queues) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// fail stops the use of the engine until it works again.
func (q *Queues) fail(err error) {
	q.mu.Lock()
	first := q.err == nil && !q.closed
	q.mu.Unlock()
	if !first {
		return
	}
	q.log.Error("the store of the queues does not work; nothing is stored or delivered until it does", "error", err)
	q.halt(q.watcher.unfinished(err))
	q.watcher.again()
}

// halt ends everything that waits for the engine, and all readers.
func (q *Queues) halt(err error) {
	q.mu.Lock()
	q.err = err
	sources := slices.Collect(maps.Values(q.sources))
	clear(q.sources)
	q.mu.Unlock()
	q.delays.pause()
	q.writer.shut(err)
	q.data.shut(err)
	q.control.shut(err)
	for _, s := range sources {
		s.fail(err)
	}
}

// Append implements [broker.QueueStore]. At most 1,000 messages can be stored
// together, or 999 if one has an id (QueuePut.Once).
func (q *Queues) Append(list []broker.QueuePut, done func(error)) {
	done = orNothing(done)
	if len(list) == 0 {
		done(nil)
		return
	}
	x, err := q.write(list, 0, writeOptions{})
	if err != nil {
		done(err)
		return
	}
	x.done = done
	q.writer.add(x)
}

func orNothing(done func(error)) func(error) {
	if done == nil {
		return func(error) {}
	}
	return done
}

type writeOptions struct {
	replacement bool // of a message, which is removed then
	anyRoom     bool // what is stored frees as much
}

// write encodes messages and reserves room for them. more is how many others the
// caller adds.
func (q *Queues) write(list []broker.QueuePut, more int, o writeOptions) (*write, error) {
	if err := q.Err(); err != nil {
		return nil, err
	}
	if n := len(list) + more; n >= maxBatch && (n > maxBatch || slices.ContainsFunc(list, func(p broker.QueuePut) bool { return p.Once != "" })) {
		return nil, fmt.Errorf("at most %d messages can be stored together, with the record of their ids; these are %d", maxBatch, n)
	}
	if q.o.Room != nil && !o.replacement && !o.anyRoom {
		if err := q.o.Room(); err != nil {
			return nil, err
		}
	}
	x := &write{puts: make([]put, len(list), len(list)+more)}
	for i := range list {
		p := &list[i]
		if q.ids.knows(p.Once, time.Now()) {
			return nil, broker.ErrDuplicate
		}
		data := appendPayload(make([]byte, 0, payloadSize(p)), p)
		if err := q.o.fits(data); err != nil {
			return nil, err
		}
		x.puts[i] = put{data: data, once: p.Once, single: o.replacement}
		x.bytes += len(data)
	}
	var err error
	if x.room, err = q.ledger.reserve(list, o.replacement); err != nil {
		return nil, err
	}
	for i := range x.room {
		x.puts[i].subject = q.names.subject(x.room[i].queue)
	}
	return x, nil
}

// Queues implements [broker.QueueStore].
func (q *Queues) Queues() iter.Seq[broker.StoredQueue] { return slices.Values(q.ledger.all()) }
