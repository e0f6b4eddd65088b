package broker

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Durable names topics to which clients may subscribe durably: what is published
// while a client is away waits for it. A client acknowledges it as messages of a
// queue. See docs/durable.md for the headers. With [Options.DurableStore] the
// subscriptions and what waits for them outlive the broker.
//
// A durable subscription belongs to a user and has a name. [Limits] has the
// limits on their number, Durable and DurablePerUser. Their messages count in
// Queues.TotalBytes and, as those of their user, in Queues.BytesPerUser. With a
// DurableStore they are counted apart from those of queues, against the same
// limits.
type Durable struct {
	// Destination is an Ant pattern such as "/topic/orders/**". A subscription
	// must lie within one entry, and a topic belongs to the first entry that
	// matches it.
	Destination string
	// Messages and Bytes limit the messages that wait for one subscription,
	// including unacknowledged ones. At the limit the oldest is dropped, and the
	// next MESSAGE says so. Defaults 10,000 and 16 MiB; negative means no limit.
	Messages int
	Bytes    int64
	// Age is how long a message waits before it is dropped in the same way.
	// Default 7 days; negative means no limit.
	Age time.Duration
	// Unused is how long a subscription exists without its client. Default 30
	// days; negative means no limit.
	Unused time.Duration
}

// headerDropped is a header of a MESSAGE of a durable subscription: how many
// messages were dropped before this one.
const headerDropped = "dropped"

// maxDurableName is the maximum length of the name of a durable subscription.
const maxDurableName = 256

// durables are the durable subscriptions of a broker.
type durables struct {
	b       *Broker
	sets    []topicSet // of Options.Durable
	entries []Durable  // with their defaults

	// Only with Options.DurableStore.
	store DurableStore
	saver *durableSaver
	lists *keptLists
	index *topics.Router[*subscriber] // of the feeders
	lanes lanes

	// mu is held while a subscription is made, which adds it to the index.
	mu      sync.Mutex
	all     map[durableKey]*durable
	users   map[string]int      // number of subscriptions of each
	clients map[*session]string // the `client-id` of CONNECT, of sessions that sent one
	dropped int64               // by subscriptions that are gone
}

type durableKey struct{ user, name string }

// A durable is one durable subscription. Its feeder is in the index of the
// router and puts what it matches into the list. The session that holds it
// consumes the list, and is not in the index itself.
type durable struct {
	durableKey
	b       *Broker
	dest    topics.Destination
	feeder  *subscriber
	list    backlog
	kept    *keptList // the list, if there is a store
	broken  string    // why its selector cannot be used, "" if it can
	share   *quota    // of the user, nil for a backend
	created time.Time
	unused  time.Duration

	// Guarded by durables.mu.
	holder *attachment // nil while the client is away
	since  time.Time   // when the holder left
}

func newDurables(b *Broker) (*durables, error) {
	var destinations []string
	l := &durables{b: b, entries: slices.Clone(b.o.Durable), all: make(map[durableKey]*durable), users: make(map[string]int)}
	for i := range l.entries {
		e := &l.entries[i]
		destinations = append(destinations, e.Destination)
		e.complete()
	}
	var err error
	if l.sets, err = newTopicSets(&b.o, "Durable", "durable subscriptions", destinations); err != nil || b.o.DurableStore == nil {
		return l, err
	}
	l.store, l.index = b.o.DurableStore, topics.NewRouter[*subscriber]()
	l.lists, l.saver = b.newKeptLists(), newDurableSaver(l.store)
	return l, nil
}

// complete sets the defaults.
func (e *Durable) complete() {
	set(&e.Messages, 10_000, 0)
	set(&e.Bytes, 16<<20, 0)
	set(&e.Age, 7*24*time.Hour, 0)
	set(&e.Unused, 30*24*time.Hour, 0)
}

// begin loads what is stored.
func (l *durables) begin() error {
	if l.store == nil {
		return nil
	}
	if err := l.load(); err != nil {
		return fmt.Errorf("broker: loading the durable subscriptions: %w", err)
	}
	go l.saver.run()
	return nil
}

// durableCloseTime is how long Close waits until the positions are saved.
const durableCloseTime = 5 * time.Second

// close saves what has changed, or logs what is lost.
func (l *durables) close() {
	if l.store == nil {
		l.logDiscarded()
		return
	}
	if unsaved := l.saver.close(durableCloseTime); unsaved > 0 {
		l.b.o.Logger.Warn("the latest changes of durable subscriptions could not be saved: acknowledged messages may come again, and deleted subscriptions may be there again", "subscriptions", unsaved)
	}
}

// feeds returns the index that the feeders are in.
func (l *durables) feeds() *topics.Router[*subscriber] {
	if l.index != nil {
		return l.index
	}
	return l.b.router
}

// makeList makes the list of a subscription that belongs to an entry. def is that
// of a store.
func (d *durable) makeList(e *Durable, def StoredDurable) {
	b := d.b
	terms := backlogTerms{name: d.source(b.o.names), messages: e.Messages, bytes: e.Bytes, age: e.Age, expired: func() { b.stats.expired.Add(1) }}
	if def.Shared {
		d.share = b.quotas.use(quotaKey{user: d.user})
		terms.owner = &d.share.queueOwner
	}
	if b.durables.store == nil {
		d.list = b.queues.Backlog(terms)
		return
	}
	d.kept = b.newKeptList(def, terms)
	d.list = d.kept
}

// A feed is the feeder's end of a durable subscription. It is a consumer only to
// have a place in a subscriber; it has nothing to start or resume.
type feed struct{ *durable }

func (feed) Start(*batch)  {}
func (feed) Resume(*batch) {}
func (feed) Close(*batch)  {}

// keep puts a publication into the list. The caller may hold the lock of an
// archive.
func (d feed) keep(p *publication, bt *batch) {
	if !d.wants(p) {
		return
	}
	m := unforged(p.message())
	d.list.Put(bt, queuePut{message: m, size: messageSize(m), expires: p.expires})
}

// source is the queue in whose name dead letters of the subscription are sent:
// they go to the dead-letter queue of that queue.
func (k durableKey) source(names *topics.Names) string {
	return names.Prefixes().Queue[0] + durableSources + url.PathEscape(k.user) + "/" + url.PathEscape(k.name)
}

const durableSources = "/durable-subscription/"

// ofAnother reports whether a dead-letter queue, given the queue that its
// letters come from, has those of a durable subscription of another user.
func (l *durables) ofAnother(source, user string) bool {
	if len(l.sets) == 0 {
		return false
	}
	for _, prefix := range l.b.o.names.Prefixes().Queue {
		if rest, ok := strings.CutPrefix(source, prefix+durableSources); ok {
			owner, _, _ := strings.Cut(rest, "/")
			return owner != url.PathEscape(user)
		}
	}
	return false
}

// DurableSubscription describes a durable subscription.
type DurableSubscription struct {
	User, Name  string
	Destination string
	Selector    string // "" for none
	Created     time.Time
	Session     string    // id of the session that uses it, "" while the client is away
	Since       time.Time // since when the client is away, else zero

	Messages       int // that it holds, including unacknowledged ones
	Bytes          int64
	Unacknowledged int
	Oldest         time.Duration // age of the oldest message, 0 if there is none
	Dropped        int64         // messages dropped because of a limit or their age
}

// ErrNoDurable is returned by [Broker.DeleteDurable] if the user has no durable
// subscription with this name.
var ErrNoDurable = errors.New("broker: no such durable subscription")

// DurableSubscriptions returns the durable subscriptions, in no order. The list
// is a snapshot made when the iteration begins; the numbers of each are from the
// moment when it is yielded.
func (b *Broker) DurableSubscriptions() iter.Seq[DurableSubscription] {
	return func(yield func(DurableSubscription) bool) {
		for _, d := range b.durables.list() {
			if !yield(d.info()) {
				return
			}
		}
	}
}

// DeleteDurable deletes a durable subscription and its messages. If a session
// uses it, its subscription ends, as if it were denied now. The error is
// ErrNoDurable or, after it is deleted here, that of an [Options.DurableStore]:
// the subscription may then be there again after a restart, until the store
// works. Safe for concurrent use.
func (b *Broker) DeleteDurable(user, name string) error {
	l := b.durables
	d := l.get(durableKey{user, name})
	if d == nil {
		return ErrNoDurable
	}
	deleted, later := l.remove(d, evenUsed)
	if !deleted {
		return ErrNoDurable
	}
	return b.deleted(later)
}

// deleted waits until the store has deleted a subscription.
func (b *Broker) deleted(later *completion) error {
	if later == nil {
		return nil
	}
	return <-later.wait()
}

// DeleteDurables deletes all durable subscriptions of a user, as DeleteDurable
// does, and returns their number. The error is that of an
// [Options.DurableStore]; all are deleted here nevertheless.
func (b *Broker) DeleteDurables(user string) (deleted int, err error) {
	var open []*completion
	for _, d := range b.durables.list() {
		if d.user != user {
			continue
		}
		if gone, later := b.durables.remove(d, evenUsed); gone {
			deleted++
			open = append(open, later)
		}
	}
	for _, later := range open {
		if e := b.deleted(later); e != nil {
			err = e
		}
	}
	return deleted, err
}

// get returns the subscription with that key, nil for none.
func (l *durables) get(key durableKey) *durable {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[key]
}

func (l *durables) list() []*durable {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*durable, 0, len(l.all))
	for _, d := range l.all {
		list = append(list, d)
	}
	return list
}

func (d *durable) info() DurableSubscription {
	q := d.list.Info()
	i := DurableSubscription{
		User: d.user, Name: d.name, Destination: d.dest.Name, Selector: d.selector(), Created: d.created,
		Messages: q.Messages, Bytes: q.Bytes, Unacknowledged: q.Unsettled, Oldest: q.Oldest, Dropped: q.Dropped,
	}
	d.b.durables.mu.Lock()
	defer d.b.durables.mu.Unlock()
	if d.holder != nil {
		i.Session = d.holder.s.id
	} else {
		i.Since = d.since
	}
	return i
}

func (d *durable) selector() string {
	if d.feeder.selector == nil {
		return ""
	}
	return d.feeder.selector.expression
}

// stats adds up all durable subscriptions.
func (l *durables) stats(st *Stats) {
	l.mu.Lock()
	st.DurableDropped = l.dropped
	l.mu.Unlock()
	for _, d := range l.list() {
		q := d.list.Info()
		st.DurableSubscriptions++
		st.DurableMessages += q.Messages
		st.DurableBytes += q.Bytes
		st.DurableDropped += q.Dropped
	}
}

// logDiscarded logs the durable subscriptions that are lost with the broker.
func (l *durables) logDiscarded() {
	var st Stats
	if l.stats(&st); st.DurableSubscriptions > 0 {
		l.b.o.Logger.Warn("durable subscriptions discarded: they were in memory only",
			"subscriptions", st.DurableSubscriptions, "messages", st.DurableMessages, "bytes", st.DurableBytes)
	}
}

// remove deletes a subscription if the caller still wants that under the lock,
// and ends the session's one that uses it. It reports false if the subscription
// is gone already or is to stay. later is the end of that in the store, nil
// without one.
func (l *durables) remove(d *durable, still func(*durable) bool) (removed bool, later *completion) {
	l.mu.Lock()
	if l.all[d.durableKey] != d || !still(d) {
		l.mu.Unlock()
		return false, nil
	}
	delete(l.all, d.durableKey)
	if l.users[d.user]--; l.users[d.user] == 0 {
		delete(l.users, d.user)
	}
	l.dropped += d.list.Info().Dropped
	holder := d.holder
	l.mu.Unlock()

	b, owner := l.b, quotaKey{user: d.user}
	l.feeds().Unsubscribe("", d.dest, d.feeder)
	if d.kept != nil { // first, so that its messages are not settled one by one
		later = l.saver.forget(d.kept)
	}
	if d.dest.Slow() {
		b.slow.give(owner, d.dest.Path)
	}
	if sel := d.feeder.selector; sel != nil {
		b.selectors.owned.give(owner, sel.expression)
		if d.broken == "" {
			b.selectors.release(sel)
		}
	}
	d.list.Remove()
	if d.share != nil {
		b.quotas.leave(d.share)
	}
	if holder != nil {
		holder.s.do(func(bt *batch) { holder.s.durableEnded(d, bt) })
	}
	return true, later
}

// sweep drops messages that are too old, and removes the subscriptions whose
// clients have been away for too long.
func (l *durables) sweep(now time.Time) {
	for _, d := range l.list() {
		d.list.Expire()
		if removed, _ := l.remove(d, func(d *durable) bool { return d.unusedAt(now) }); removed {
			l.b.o.Logger.Info("a durable subscription was deleted because its client was away too long",
				"user", d.user, "name", d.name, "destination", d.dest.Name, "unused", d.unused)
		}
	}
}

// evenUsed is for [durables.remove].
func evenUsed(*durable) bool { return true }

// unusedAt reports whether the client has been away for too long. The caller
// holds the lock.
func (d *durable) unusedAt(now time.Time) bool {
	return d.holder == nil && d.unused > 0 && now.Sub(d.since) >= d.unused
}

// introduce remembers the `client-id` of a CONNECT, which is part of the name of
// a durable subscription in the forms of ActiveMQ and Artemis.
func (l *durables) introduce(s *session, clientID string) {
	if clientID == "" || len(l.sets) == 0 || len(clientID) > maxDurableName || s.userName() == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients == nil {
		l.clients = make(map[*session]string)
	}
	l.clients[s] = strings.Clone(clientID)
}

// forget undoes introduce.
func (l *durables) forget(s *session) {
	if len(l.sets) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.clients, s); len(l.clients) == 0 {
		l.clients = nil
	}
}

// clientID returns what introduce remembered.
func (l *durables) clientID(s *session) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clients[s]
}

func (d *durable) describe() string {
	text := quoted(d.dest.Name)
	if sel := d.selector(); sel != "" {
		text += fmt.Sprintf(" with the selector %s", quoted(sel))
	}
	return text
}
