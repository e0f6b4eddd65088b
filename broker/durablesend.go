package broker

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/topics"
)

// With a [DurableStore], a message that durable subscriptions want is stored
// first. Then it goes into their lists and to the live subscribers, and its
// RECEIPT is sent. Meanwhile it waits in the lane of its destination, so that
// nothing that is sent to the same destination overtakes it.

// lanes are the messages that are being stored, by destination.
type lanes struct {
	mu  sync.Mutex
	all map[string]*lane
}

type lane struct {
	list    []*laneMessage
	running bool // somebody delivers
}

// laneMessage is a message in a lane.
type laneMessage struct {
	d        destination
	m        *Message
	expires  int64
	wanted   []*durable
	sequence uint64
	stored   bool // or refused
	err      error
	later    completion
}

// keeps reports whether messages to d are stored for durable subscriptions.
func (l *durables) keeps(d topics.Destination) bool {
	return l.store != nil && entryOf(l.sets, d) >= 0
}

// wanting returns the stored durable subscriptions that want a publication.
func (l *durables) wanting(d topics.Destination, p *publication) []*durable {
	var list []*durable
	for _, sub := range l.index.Match(d) {
		if f, ok := sub.consumer.(feed); ok && f.wants(p) {
			list = append(list, f.durable)
		}
	}
	return list
}

// wants reports whether a publication that its destination matches is for the
// subscription.
func (d feed) wants(p *publication) bool {
	if d.dest.Pattern && strings.HasSuffix(p.Destination, "/") && strings.HasSuffix(d.dest.Path, "/*") {
		return false // /topic/a/* matches /topic/a/ too, to which other rules apply
	}
	l := d.feeder.selector
	return l == nil || l.selects(p, d.b)
}

// accept stores a publication that durable subscriptions want, and delivers it
// then. It returns nil if there is nothing to wait for: the caller delivers it.
func (l *durables) accept(d destination, p *publication) *completion {
	if expired(p.expires) {
		return nil
	}
	x := &laneMessage{d: d, expires: p.expires, wanted: l.wanting(d.Destination, p)}
	l.lanes.mu.Lock()
	way := l.lanes.all[d.Path]
	if way == nil {
		if len(x.wanted) == 0 {
			l.lanes.mu.Unlock()
			return nil
		}
		way = new(lane)
		if l.lanes.all == nil {
			l.lanes.all = make(map[string]*lane)
		}
		l.lanes.all[strings.Clone(d.Path)] = way
	}
	x.m = p.message()
	x.d.Destination = d.Clone()
	way.list = append(way.list, x)
	l.lanes.mu.Unlock()
	if len(x.wanted) == 0 {
		l.landed(way, x, 0, nil)
		return &x.later
	}
	put := DurablePut{Message: unforged(x.m), Wanted: len(x.wanted)}
	if p.expires != 0 {
		put.Expires = time.UnixMilli(p.expires)
	}
	l.store.Append([]DurablePut{put}, func(first uint64, err error) { l.landed(way, x, first, err) })
	return &x.later
}

// unforged returns a message as it goes into the lists of durable subscriptions.
func unforged(m *Message) *Message {
	forged := func(h Header) bool { return encode.Trimmed(h.Name) == headerDropped }
	if m.Settled == nil && !slices.ContainsFunc(m.Headers, forged) {
		return m
	}
	c := *m
	c.Settled = nil // belongs to the live subscribers
	c.Headers = slices.DeleteFunc(slices.Clone(m.Headers), forged)
	return &c
}

// landed is called when a message of a lane is stored or refused. The positions
// learn of it at once, in the order of the sequences.
func (l *durables) landed(way *lane, x *laneMessage, sequence uint64, err error) {
	if err == nil && len(x.wanted) > 0 {
		all := len(x.wanted)
		x.wanted = l.saver.stored(x.wanted, sequence)
		for range all - len(x.wanted) { // removed meanwhile
			l.store.Settled(sequence)
		}
	}
	l.lanes.mu.Lock()
	x.stored, x.sequence, x.err = true, sequence, err
	if way.running {
		l.lanes.mu.Unlock()
		return
	}
	way.running = true
	for len(way.list) > 0 && way.list[0].stored {
		first := way.list[0]
		way.list[0] = nil
		way.list = way.list[1:]
		l.lanes.mu.Unlock()
		l.leave(first)
		l.lanes.mu.Lock()
	}
	way.running = false
	if len(way.list) == 0 && l.lanes.all[x.d.Path] == way {
		delete(l.lanes.all, x.d.Path)
	}
	l.lanes.mu.Unlock()
}

// leave delivers a message that leaves its lane.
func (l *durables) leave(x *laneMessage) {
	b := l.b
	err := x.err
	if err == nil {
		bt, p := b.begin(x.m, x.m.Destination)
		p.expires = x.expires
		if p.msg == nil {
			p.msg = x.m
		}
		m := unforged(x.m)
		for _, d := range x.wanted {
			d.kept.put(bt, m, x.sequence, x.expires)
		}
		var later *completion
		if _, later, err = b.distribute(x.d, p, nil, "", bt); errors.Is(err, errNobody) {
			err = nil // of answers only
		}
		bt.flushLater()
		if later != nil { // a history stores it too
			later.whenEnded(x.later.end)
			return
		}
	}
	x.later.end(err)
}
