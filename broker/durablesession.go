package broker

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Headers of a SUBSCRIBE and an UNSUBSCRIBE that concern a durable subscription.
// docs/durable.md describes them.
const (
	headerDurable    = "durable"     // Hoofbeat: a name; RabbitMQ: true
	headerPersistent = "persistent"  // RabbitMQ's older name
	headerAutoDelete = "auto-delete" // RabbitMQ
	headerClientID   = "client-id"   // of CONNECT: ActiveMQ, Artemis
)

// subscriptionNames are the headers in which clients of ActiveMQ (the first two;
// one is spelled so there) and Artemis name a durable subscription.
var subscriptionNames = [...]string{
	"activemq.subscriptionName", "activemq.subcriptionName", "durable-subscription-name", "durable-subscriber-name",
}

// An attachment is the consumer of a session that uses a durable subscription.
type attachment struct {
	consumer
	s *session
	d *durable
}

// Close returns the unacknowledged messages to the list, and lets another
// session use the subscription.
func (a *attachment) Close(bt *batch) {
	a.consumer.Close(bt)
	l := a.s.b.durables
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.d.holder == a {
		a.d.holder, a.d.since = nil, time.Now()
		if a.d.kept != nil {
			a.d.kept.use(false, a.d.since)
		}
	}
}

// certain returns the completion of the acknowledgements until now, nil if they
// are certain.
func (a *attachment) certain() *completion {
	if k, ok := a.consumer.(*keptConsumer); ok {
		return k.certain()
	}
	return nil
}

// attached returns the durable subscription that sub uses, nil for none.
func (sub *subscriber) attached() *durable {
	if a, ok := sub.consumer.(*attachment); ok {
		return a.d
	}
	return nil
}

// durableAsk is the durable subscription that a frame names.
type durableAsk struct {
	name   string
	header string // that asked for it, "" for none
	rabbit bool   // in RabbitMQ's form: the name is the id
}

// durableAsked returns which durable subscription a frame names. Names of
// Hoofbeat count before those of ActiveMQ and Artemis, and these before the form
// of RabbitMQ.
func (s *session) durableAsked(f *frames.Frame) (durableAsk, *Error) {
	value := f.Get(headerDurable)
	if value != "" && value != "true" && value != "false" {
		return durableAsk{name: value, header: headerDurable}, nil
	}
	for _, header := range subscriptionNames {
		name := f.Get(header)
		if name == "" {
			continue
		}
		client := s.b.durables.clientID(s)
		if client == "" && len(s.b.durables.sets) > 0 && s.userName() != "" {
			return durableAsk{}, failure(ReasonProtocolError, "%s needs a client-id of at most %d bytes in CONNECT", header, maxDurableName)
		}
		return durableAsk{name: client + "." + name, header: header}, nil
	}
	for _, header := range [...]string{headerDurable, headerPersistent} {
		if f.Get(header) == "true" {
			return durableAsk{name: f.Get(frames.HeaderID), header: header, rabbit: true}, nil
		}
	}
	return durableAsk{}, nil
}

// durability returns which durable subscription a SUBSCRIBE asks for, and the
// entry of Options.Durable that it belongs to. The name is empty if it asks for
// none. A work queue keeps its messages for a client that is away, so RabbitMQ's
// form asks for nothing more there.
func (s *session) durability(f *frames.Frame, sub *subscriber) (name string, entry int, fail *Error) {
	ask, fail := s.durableAsked(f)
	if fail != nil || ask.header == "" || ask.rabbit && sub.queue {
		return "", 0, fail
	}
	l := s.b.durables
	entry = entryAround(s.b.ctx, l.sets, sub.dest)
	switch {
	case entry < 0 || sub.present == watching: // events of presence are about now
		return "", 0, failure(ReasonProtocolError, "durable subscriptions to %s are not available: no entry of durable[].destination covers it (%s)", quoted(sub.dest.Name), ask.header)
	case s.userName() == "":
		return "", 0, failure(ReasonDenied, "a durable subscription needs a user: this session is anonymous")
	case ask.rabbit && f.Get(headerAutoDelete) != "false":
		return "", 0, failure(ReasonProtocolError, "%s:true needs auto-delete:false: without it the subscription would end with its session", ask.header)
	case ask.name == "":
		return "", 0, failure(ReasonProtocolError, "%s:true needs an id", ask.header)
	case len(ask.name) > maxDurableName:
		return "", 0, failure(ReasonProtocolError, "the name of a durable subscription is longer than %d bytes", maxDurableName)
	case !s.b.hasDeadLetters(durableKey{s.userName(), ask.name}):
		return "", 0, failure(ReasonProtocolError, "the name of a durable subscription is too long: escaped, it and the name of the user are in the name of the queue for its dead letters, which has at most %d bytes", topics.MaxLength)
	case topics.Collapse(sub.dest.Name) != sub.dest.Name:
		return "", 0, failure(ReasonProtocolError, "a durable subscription to %s: a destination with an empty segment or a slash at its end", quoted(sub.dest.Name))
	}
	sub.durable = true
	return ask.name, entry, nil
}

// hasDeadLetters reports whether the name of the queue for the dead letters of a
// subscription is short enough. It is escaped.
func (b *Broker) hasDeadLetters(k durableKey) bool {
	name, ok := b.o.names.DeadLetters(k.source(b.o.names))
	return ok && len(name) <= topics.MaxLength
}

// attach makes sub the consumer of a durable subscription, which it creates if
// necessary. The rules allow the destination. If later is not nil, the store has
// the subscription only then.
func (s *session) attach(sub *subscriber, name string, entry int, f *frames.Frame, bt *batch) (later *completion, _ *Error) {
	prefetch, fail := s.prefetch(f, sub.mode)
	if fail != nil {
		return nil, fail
	}
	l, key, expression := s.b.durables, durableKey{s.userName(), name}, f.Get(headerSelector)
	a, fail := l.claim(s, sub, key, expression)
	if a == nil && fail == nil {
		if fail := s.selective(sub, f, bt); fail != nil {
			return nil, fail
		}
		var reached *limit.Exceeded
		if a, later, reached, fail = l.create(s, sub, key, entry); reached != nil {
			fail = s.b.refuse(reached, s.peer, key.user)
		}
		if sub.selector != nil { // not taken
			s.unselect(sub)
			sub.selector = nil
		}
	}
	if fail != nil {
		return nil, fail
	}
	a.consumer = a.d.list.Consume(sub, prefetch, sub.mode == ackAuto)
	sub.consumer = a
	s.addConsumer(a)
	if a.d.kept != nil {
		later = allOf(nonNil(later, a.d.kept.use(true, time.Now())))
	}
	return later, nil
}

func nonNil(list ...*completion) []*completion {
	return slices.DeleteFunc(list, func(c *completion) bool { return c == nil })
}

// claim gives an existing subscription to sub. It returns nil if there is none.
func (l *durables) claim(s *session, sub *subscriber, key durableKey, expression string) (*attachment, *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.all[key]; d != nil {
		return d.claim(s, sub, expression)
	}
	return nil, nil
}

// claim is durables.claim for a caller that holds the lock.
func (d *durable) claim(s *session, sub *subscriber, expression string) (*attachment, *Error) {
	switch {
	case d.dest.Path != sub.dest.Path || d.selector() != expression:
		return nil, failure(ReasonProtocolError, "the durable subscription %s is to %s, which cannot change; delete it with UNSUBSCRIBE first", quoted(d.name), d.describe())
	case d.broken != "":
		return nil, failure(ReasonDenied, "the selector of the durable subscription %s cannot be used now: %s", quoted(d.name), d.broken)
	case d.holder != nil:
		return nil, failure(ReasonDenied, "the durable subscription %s is in use by another subscription of yours; try again when that has ended", quoted(d.name))
	}
	d.holder = &attachment{s: s, d: d}
	return d.holder, nil
}

// create makes a subscription for sub and takes its selector, unless another
// session was faster, or returns the limit that was reached. If later is not nil,
// the store has the subscription only then.
func (l *durables) create(s *session, sub *subscriber, key durableKey, entry int) (_ *attachment, later *completion, _ *limit.Exceeded, _ *Error) {
	b := l.b
	limits := b.policy.Load().limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.all[key]; d != nil {
		expression := ""
		if sub.selector != nil {
			expression = sub.selector.expression
		}
		a, fail := d.claim(s, sub, expression)
		return a, nil, nil, fail
	}
	switch {
	case l.users[key.user] >= limits.DurablePerUser:
		return nil, nil, &limit.Exceeded{Limit: limit.DurablePerUser, Value: limits.DurablePerUser}, nil
	case len(l.all) >= limits.Durable:
		return nil, nil, &limit.Exceeded{Limit: limit.Durable, Value: limits.Durable}, nil
	}
	if sub.dest.Slow() {
		if e := s.takeSlow(sub.dest.Path); e != nil {
			return nil, nil, e, nil
		}
	}
	key.user, key.name = strings.Clone(key.user), strings.Clone(key.name)
	e := &l.entries[entry]
	d := &durable{durableKey: key, b: b, dest: sub.dest, created: time.Now(), unused: e.Unused}
	d.feeder = &subscriber{dest: d.dest, consumer: feed{d}, selector: sub.selector}
	sub.selector = nil
	def := StoredDurable{
		ID: newDurableID(), User: key.user, Name: key.name, Destination: d.dest.Name, Selector: d.selector(),
		Created: d.created, Shared: s.owner() != nil,
	}
	d.makeList(e, def)
	d.holder = &attachment{s: s, d: d}
	l.all[key] = d
	l.users[key.user]++
	if l.store != nil {
		later = l.storeNew(d, def)
	}
	l.feeds().Subscribe("", d.dest, d.feeder)
	return d.holder, later, nil, nil
}

// newDurableID returns an ID that no other subscription has.
func newDurableID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// storeNew stores a new subscription. If that fails, there is none.
func (l *durables) storeNew(d *durable, def StoredDurable) *completion {
	later := new(completion)
	l.store.Create(def, func(err error) {
		if err != nil {
			l.b.spawn(func() { l.remove(d, evenUsed) }) // the caller of Create has the lock
		}
		later.end(err)
	})
	return later
}

// durableEnded ends the subscription of the session to d, which was deleted.
func (s *session) durableEnded(d *durable, bt *batch) {
	if sub := s.using(d); sub != nil {
		s.withdraw(sub, EndedByDeletion, bt)
	}
}

// using returns the session's subscription that uses d, nil for none.
func (s *session) using(d *durable) *subscriber {
	for _, sub := range s.subs {
		if sub.attached() == d {
			return sub
		}
	}
	return nil
}

// forgetDurable deletes the durable subscription that an UNSUBSCRIBE names, if
// it names one. sub is the subscription with the id of the frame, or nil. It
// returns the session's subscription that is to be dropped.
func (s *session) forgetDurable(f *frames.Frame, sub *subscriber) (_ *subscriber, later *completion, _ *Error) {
	ask, fail := s.durableAsked(f)
	if fail != nil || ask.header == "" || s.userName() == "" {
		return sub, nil, fail
	}
	l, key := s.b.durables, durableKey{s.userName(), ask.name}
	var uses *durable // by sub; it may be deleted already
	if sub != nil {
		uses = sub.attached()
	}
	var d *durable
	switch {
	case !ask.rabbit || sub == nil:
		d = l.get(key)
	case uses == nil:
		return sub, nil, nil // of a queue
	default:
		d = uses
	}
	switch {
	case sub != nil && uses != d && (uses == nil || uses.durableKey != key):
		return nil, nil, failure(ReasonProtocolError, "the subscription %s is not the durable subscription %s", quoted(sub.ID), quoted(ask.name))
	case d == nil:
		return sub, nil, nil // deleted before: a client that lost the answer asks again
	case sub == nil:
		sub = s.using(d)
	}
	used := false
	removed, later := l.remove(d, func(d *durable) bool {
		used = d.holder != nil && d.holder.s != s
		return !used
	})
	if removed {
		s.b.o.Logger.Info("a durable subscription was deleted by its client", "session", s.id, "user", d.user, "name", d.name, "destination", d.dest.Name)
	}
	if used {
		return nil, nil, failure(ReasonDenied, "the durable subscription %s is in use by another session of yours", quoted(d.name))
	}
	return sub, later, nil
}

// mayRead refuses the dead letters of the durable subscriptions of others.
func (s *session) mayRead(source string) *Error {
	if s.foreign(source) {
		s.b.stats.denied.Add(1)
		return failure(ReasonDenied, "not allowed to subscribe to the dead letters of another user")
	}
	return nil
}

// foreignDeadLetters reports whether d is the queue of the dead letters of a
// durable subscription of another user.
func (s *session) foreignDeadLetters(d topics.Destination) bool {
	if d.Kind != topics.Queue {
		return false
	}
	source, dead := s.b.o.names.DeadLettersOf(d.Path)
	return dead && s.foreign(source)
}

// foreign reports whether the queue that dead letters come from is a durable
// subscription of another user. To backends none is foreign: the rules decide.
func (s *session) foreign(source string) bool {
	return s.b.durables.ofAnother(source, s.userName()) && !s.principal.Load().HasRole(auth.RoleBackend)
}

// dropped is the claim of a MESSAGE before which messages were dropped.
func dropped(n int) claim { return saysDropped + claim(min(n, 1<<30)) }

func (c claim) droppedHeader() string {
	return headerDropped + ":" + strconv.Itoa(int(c-saysDropped)) + "\n"
}
