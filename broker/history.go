package broker

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/ring"
	"github.com/hoofbeat/hoofbeat/topics"
)

// History keeps the latest messages of topics, so that a client that
// was away gets what it missed, and a new one gets the last value. A SUBSCRIBE
// with an `offset` header says where to begin, see docs/history.md. Only topics
// can have a history.
type History struct {
	// Destination is an Ant pattern such as "/topic/prices/**". A topic belongs
	// to the first entry that matches it. The messages of one entry share one
	// sequence of numbers, so a subscription to a pattern recovers if it lies
	// within one entry.
	Destination string
	// Messages is how many are kept for each destination. Default 100; 1 keeps
	// the last value.
	Messages int
	// Age is how long a message is kept. Default: until another limit is
	// reached.
	Age time.Duration
	// Bytes bounds the memory of all messages of the entry, or what they take in
	// Options.HistoryStore and in the index of it. At the limit its
	// oldest messages are dropped. Default 64 MiB. The sum of all entries must
	// be within Options.HistoryBytes.
	Bytes int64
}

// history is what the messages of one entry of Options.History are read from.
// [memoryHistory] is the one in memory, [storedHistory] the one over a
// [HistoryStore]. All methods are safe for concurrent use.
type history interface {
	// Epoch names the sequence of numbers. Numbers of another epoch prove
	// nothing.
	Epoch() string
	// Last returns the number of the latest message, 0 if there was none.
	Last(ctx context.Context) (uint64, error)
	// Reader begins to read. recovered is true only if the store can prove that
	// every message after the number start.Number is still kept, for every
	// destination selected. Expired messages are no gap.
	Reader(ctx context.Context, sel ring.Selection, start ring.Start) (r historyReader, recovered bool, err error)
	// Stats returns what is kept.
	Stats() ring.Stats
	// Destinations returns of what something is kept, in no order, and Of one of
	// them.
	Destinations() iter.Seq[ring.Info]
	Of(destination string) (ring.Info, bool)
	// Remove removes what is kept of a destination, begins another epoch, and
	// returns the number of messages. Calls for one history come one at a time.
	Remove(ctx context.Context, destination string) (int, error)
	// Expire drops what is too old.
	Expire()
	// SetLimits replaces Messages, Age and Bytes. What is within them stays.
	SetLimits(h History)
}

// historyReader reads in the order of the numbers. One goroutine at a time may
// use it. It holds no messages.
type historyReader interface {
	// Next appends messages to an empty list. gap means that messages before
	// the first of them, or before the next if there are none, were dropped
	// before they were read. done means that there are no further messages.
	Next(ctx context.Context, list []kept, count, bytes int) (_ []kept, gap, done bool, err error)
	// At returns the number up to which everything has been read.
	At() uint64
}

type kept = ring.Read[*Message]

// Headers of a SUBSCRIBE and of a MESSAGE, besides those of the offset.
const (
	headerRecovered   = "recovered"
	headerRetroactive = "activemq.retroactive"
)

// offsetHeaders returns the headers of an offset for a message that the program
// receives.
func offsetHeaders(o encode.Offset) []Header {
	n := strconv.FormatUint(o.Number, 10)
	return []Header{{Name: encode.HeaderOffset, Value: o.Epoch + ":" + n}, {Name: encode.HeaderStreamOffset, Value: n}}
}

// ofHistory reports whether a header belongs to the broker in a message with a
// history.
func ofHistory(name string) bool {
	switch encode.Trimmed(name) {
	case encode.HeaderOffset, encode.HeaderStreamOffset, headerRecovered:
		return true
	}
	return false
}

// archive is one entry of Options.History at work.
type archive struct {
	topicSet
	limits atomic.Pointer[string] // as the client reads them, with their keys
	single atomic.Bool            // one message of each destination is kept

	// mu is held while a message is numbered and offered to its subscribers, so
	// that every subscriber gets the messages in the order of their numbers.
	// Nothing that waits happens under it.
	mu        sync.Mutex
	store     history
	memory    *memoryHistory // nil over a store
	stored    *storedHistory // nil in memory
	delivered uint64         // number of the latest message that was offered to the subscribers

	removing sync.Mutex // held while a destination is removed
}

// newArchives makes the archives of valid options, and the topics that belong
// to each.
func newArchives(o *Options, now func() int64) ([]topicSet, []*archive, error) {
	var destinations []string
	for i := range o.History {
		destinations = append(destinations, o.History[i].Destination)
	}
	sets, err := newTopicSets(o, "History", "a history", destinations)
	if err != nil {
		return nil, nil, err
	}
	var list []*archive
	if err := o.historyLimits(); err != nil {
		return nil, nil, err
	}
	for i, h := range o.History {
		a := &archive{topicSet: sets[i]}
		if o.HistoryStore == nil {
			a.memory = newMemoryHistory(h, now, &a.mu)
			a.store = a.memory
		}
		a.describe(h)
		list = append(list, a)
	}
	return sets, list, nil
}

// historyLimits sets the defaults of the limits of o.History and checks them.
func (o *Options) historyLimits() error {
	total := int64(0)
	for i := range o.History {
		h := &o.History[i]
		set(&h.Messages, 100, 0)
		set(&h.Age, 0, 0)
		set(&h.Bytes, 64<<20, 0)
		field := fmt.Sprintf("History[%d].Bytes", i)
		switch limit := o.HistoryBytes; {
		case limit <= 0:
		case h.Bytes == 0:
			return badOption(field, "without a limit; the history of all entries is limited to %d bytes (history_bytes)", limit)
		case h.Bytes > limit-total:
			return badOption(field, "%d bytes, with those of the entries before, exceed the %d bytes of all entries (history_bytes)", h.Bytes, limit)
		}
		total += h.Bytes
	}
	return nil
}

// newLimits checks the entries of a new policy, which must have the same
// destinations, and returns them with their defaults.
func (b *Broker) newLimits(p *Policy) ([]History, error) {
	o := Options{History: slices.Clone(p.History), HistoryBytes: p.HistoryBytes}
	set(&o.HistoryBytes, 256<<20, 0)
	if len(o.History) != len(b.archives) {
		return nil, badOption("History", "%d entries, but the broker runs with %d: their destinations cannot change while it runs", len(o.History), len(b.archives))
	}
	for i, a := range b.archives {
		if to := o.History[i].Destination; to != a.text {
			return nil, badOption(fmt.Sprintf("History[%d].Destination", i), "%q, but the broker runs with %q: it cannot change while it runs", to, a.text)
		}
	}
	return o.History, o.historyLimits()
}

// setLimits puts the limits of an entry in force.
func (a *archive) setLimits(h History) {
	a.describe(h)
	a.store.SetLimits(h)
}

func (a *archive) describe(h History) {
	text := "any number of messages of each destination"
	if h.Messages > 0 {
		text = fmt.Sprintf("%d messages of each destination (history[].messages)", h.Messages)
	}
	if h.Bytes > 0 {
		text += fmt.Sprintf(" and %d bytes (history[].bytes)", h.Bytes)
	}
	a.limits.Store(&text)
	a.single.Store(h.Messages == 1)
}

// archive returns the archive of a destination, nil if it has no history.
func (b *Broker) archive(d topics.Destination) *archive {
	if len(b.histories) == 0 || b.presence.owns(d.Path) {
		return nil
	}
	if i := entryOf(b.histories, d); i >= 0 {
		return b.archives[i]
	}
	return nil
}

// archiveFor returns the archive that all destinations of a subscription belong
// to, or nil.
func (b *Broker) archiveFor(d topics.Destination) *archive {
	if !d.Pattern {
		return b.archive(d)
	}
	if i := entryAround(b.ctx, b.histories, d); i >= 0 {
		return b.archives[i]
	}
	return nil
}

// deliver numbers and keeps a publication and delivers it to the subscribers
// that are connected to this broker. Over a store, which accepts it once, it
// returns what to wait for: the publication is delivered when it is stored.
func (a *archive) deliver(b *Broker, d topics.Destination, p *publication, once string, bt *batch) *completion {
	if a.stored != nil {
		return a.stored.append(a.put(d, p, once))
	}
	a.offer(b, d, p, bt)
	p.hurry = false
	bt.makeRoom()
	return nil
}

// offer does it under the lock.
func (a *archive) offer(b *Broker, d topics.Destination, p *publication, bt *batch) {
	m := p.keep()
	p.hurry = true
	a.mu.Lock()
	defer a.mu.Unlock()
	p.Offset = encode.Offset{Epoch: a.memory.Epoch(), Number: a.memory.Append(d.Path, m)}
	a.fanOut(b, d, p, bt)
}

// fanOut offers a publication with its number to the subscribers. The caller
// holds the lock.
func (a *archive) fanOut(b *Broker, d topics.Destination, p *publication, bt *batch) {
	delivered := int64(0)
	subs := b.router.Match(d) // only now: a later subscription finds the message in the store
	p.Single = len(subs) == 1
	for _, sub := range subs {
		if sub.replay.Load() == nil && sub.offer(p, bt) { // a replay finds it in the store
			delivered++
		}
	}
	a.delivered = p.Offset.Number
	b.stats.delivered.Add(delivered)
}

// keep returns the message for the history: without Settled, which belongs to
// the live subscribers, and without headers that the history sets.
func (p *publication) keep() *Message {
	forged := func(h Header) bool { return ofHistory(h.Name) }
	if slices.ContainsFunc(p.Headers, forged) { // before message copies them into one block of memory
		p.Headers = slices.DeleteFunc(slices.Clone(p.Headers), forged)
		if p.msg != nil {
			c := *p.msg
			c.Headers = slices.DeleteFunc(slices.Clone(c.Headers), forged)
			p.msg = &c
		}
	}
	m := p.message()
	p.Headers = m.Headers
	if m.Settled != nil {
		c := *m
		c.Settled = nil
		m = &c
	}
	return m
}

// stamped returns the message for a program's subscription.
func (p *publication) stamped() *Message {
	m := p.message()
	if p.Offset.Number == 0 {
		return m
	}
	c := *m
	c.Headers = append(offsetHeaders(p.Offset), m.Headers...)
	return &c
}

// memoryHistory is a history in memory. Its epoch ends with the process, or when
// a destination is removed.
type memoryHistory struct {
	epoch atomic.Pointer[string]
	set   *ring.Set[*Message]
	now   func() int64
	mu    *sync.Mutex // of the archive
}

func newMemoryHistory(h History, now func() int64, mu *sync.Mutex) *memoryHistory {
	m := &memoryHistory{set: ring.New[*Message](h.limits()), now: now, mu: mu}
	m.renew()
	return m
}

// renew begins another epoch. The numbers go on.
func (h *memoryHistory) renew() {
	epoch := strings.ToLower(rand.Text()[:8])
	h.epoch.Store(&epoch)
}

func (h *History) limits() ring.Limits {
	return ring.Limits{Messages: h.Messages, Age: int64(h.Age), Bytes: h.Bytes}
}

// keptOverhead is the memory of a kept message besides its texts: the Message
// (96) and the rounding of three allocations.
const keptOverhead = 160

// Append keeps a message and returns its number, greater than all before.
func (h *memoryHistory) Append(destination string, m *Message) uint64 {
	size := keptOverhead + len(m.Destination) + len(m.ID) + len(m.Body) + headersSize(m.Headers)
	return h.set.Append(destination, m, size, h.now())
}

func (h *memoryHistory) Epoch() string                        { return *h.epoch.Load() }
func (h *memoryHistory) Last(context.Context) (uint64, error) { return h.set.Last(), nil }
func (h *memoryHistory) Stats() ring.Stats                    { return h.set.Stats() }
func (h *memoryHistory) Expire()                              { h.set.Expire(h.now()) }
func (h *memoryHistory) SetLimits(to History)                 { h.set.SetLimits(to.limits(), h.now()) }

func (h *memoryHistory) Destinations() iter.Seq[ring.Info]       { return h.set.Destinations() }
func (h *memoryHistory) Of(destination string) (ring.Info, bool) { return h.set.Of(destination) }

// Remove implements history.
func (h *memoryHistory) Remove(_ context.Context, destination string) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept, _ := h.set.Of(destination)
	h.renew()
	return len(h.set.Remove(destination, kept.Newest)), nil
}

func (h *memoryHistory) Reader(_ context.Context, sel ring.Selection, start ring.Start) (historyReader, bool, error) {
	r, proven := h.set.Reader(sel, start)
	return memoryReader{r}, proven, nil
}

type memoryReader struct{ *ring.Reader[*Message] }

func (r memoryReader) Next(_ context.Context, list []kept, count, bytes int) (_ []kept, gap, done bool, err error) {
	list, gap, done = r.Reader.Next(list, count, bytes)
	return list, gap, done, nil
}

// expireHistory drops old messages of topics to which nobody publishes any more.
func (b *Broker) expireHistory() {
	for _, a := range b.archives {
		a.store.Expire()
	}
}
