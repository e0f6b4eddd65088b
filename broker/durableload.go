package broker

import (
	"context"
	"math"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// durableLoadTime limits how long New waits for the store of the durable
// subscriptions.
const durableLoadTime = 5 * time.Minute

// load makes the subscriptions that are in the store. Nothing is published
// meanwhile.
func (l *durables) load() error {
	type loaded struct {
		*durable
		position DurablePosition
		list     []keptBefore
	}
	all := make(map[*durable]*loaded)
	ctx, cancel := context.WithTimeout(context.Background(), durableLoadTime)
	defer cancel()
	now := time.Now()
	err := l.store.Load(ctx, DurableLoader{
		Subscription: func(def StoredDurable, p DurablePosition) {
			if d := l.revive(def); d != nil {
				d.kept.position.restore(p)
				if d.since = p.Used; p.Attached || d.since.IsZero() {
					d.since = now // its session ended with the process
				}
				all[d] = &loaded{durable: d, position: p}
			}
		},
		Message: func(m StoredPut) (wanted int) {
			parsed, err := l.b.o.names.Parse(m.Message.Destination)
			if err != nil {
				l.b.o.Logger.Error("a stored message of durable subscriptions is removed: its destination cannot be read", "destination", m.Message.Destination, "error", err)
				return 0
			}
			var p publication
			p.set(m.Message, m.Message.Destination)
			p.msg = m.Message
			for _, d := range l.wanting(parsed, &p) {
				x := all[d]
				if m.Sequence <= d.kept.def.After || x.position.has(m.Sequence) {
					continue
				}
				wanted++
				r := keptBefore{
					Age: now.Sub(m.Stored), Attempts: x.position.Attempts[m.Sequence],
					Redelivered: x.position.Attached || m.Sequence <= x.position.Given,
				}
				r.Message, r.Size = keptItem{m.Message, d.kept, m.Sequence}, messageSize(m.Message)
				if !m.Expires.IsZero() {
					r.Expires = m.Expires.UnixMilli()
				}
				x.list = append(x.list, r)
			}
			return wanted
		},
	})
	if err != nil {
		return err
	}
	messages := 0
	for d, x := range all {
		for _, m := range x.list {
			d.kept.position.add(m.Message.sequence)
			if x.position.Attached { // it may have been delivered
				d.kept.position.given = max(d.kept.position.given, m.Message.sequence)
			}
			if n := x.position.Attempts[m.Message.sequence]; n > 0 {
				if d.kept.position.tries == nil {
					d.kept.position.tries = make(map[uint64]int)
				}
				d.kept.position.tries[m.Message.sequence] = n
			}
		}
		d.kept.work.Restore(x.list, x.position.Dropped, int(x.position.Dropped-x.position.Told))
		d.kept.use(false, d.since)
		messages += len(x.list)
	}
	if len(all) > 0 {
		l.b.o.Logger.Info("durable subscriptions were loaded", "subscriptions", len(all), "messages", messages)
	}
	return nil
}

// revive makes a subscription that the store has. It returns nil for one that
// cannot be made.
func (l *durables) revive(def StoredDurable) *durable {
	b, key := l.b, durableKey{def.User, def.Name}
	dest, err := b.o.names.ParseSubscription(def.Destination)
	if err != nil {
		b.o.Logger.Error("a stored durable subscription is not used: its destination cannot be read", "user", def.User, "name", def.Name, "destination", def.Destination, "error", err)
		return nil
	}
	e := &Durable{}
	if i := entryAround(context.Background(), l.sets, dest); i >= 0 {
		e = &l.entries[i]
	} else {
		e.complete()
		b.o.Logger.Warn("no entry of durable[].destination covers a stored durable subscription any more: it gets no messages, and is kept until it is unused for too long",
			"user", def.User, "name", def.Name, "destination", def.Destination, "unused", e.Unused)
	}
	d := &durable{durableKey: key, b: b, dest: dest, created: def.Created, unused: e.Unused}
	d.feeder = &subscriber{dest: dest, consumer: feed{d}}
	owner := quotaKey{user: key.user}
	if def.Selector != "" {
		d.feeder.selector, d.broken = l.reviveSelector(def)
		b.selectors.owned.take(owner, def.Selector, limit.Exceeded{Value: math.MaxInt}, limit.Exceeded{Value: math.MaxInt})
	}
	if dest.Slow() {
		b.slow.take(owner, dest.Path, limit.Exceeded{Value: math.MaxInt}, limit.Exceeded{Value: math.MaxInt})
	}
	d.makeList(e, def)
	l.all[key] = d
	l.users[key.user]++
	l.index.Subscribe("", dest, d.feeder)
	return d
}

// reviveSelector returns the selector of a stored subscription. If it cannot be
// used, all messages wait, and broken says why they are not delivered.
func (l *durables) reviveSelector(def StoredDurable) (sel *selector, broken string) {
	why := "this broker has no selectors (selectors)"
	if compile := l.b.o.Selector; compile != nil {
		sel, err := l.b.selectors.acquire(def.Selector, compile)
		if err == nil {
			return sel, ""
		}
		why = err.Error()
	}
	l.b.o.Logger.Error("the selector of a stored durable subscription cannot be used: all messages wait for it, and none is delivered",
		"user", def.User, "name", def.Name, "selector", def.Selector, "error", why)
	return &selector{expression: def.Selector, match: func(*Message) bool { return true }}, why
}
