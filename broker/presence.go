package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/roster"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Presence tells who is subscribed to a topic. Clients list a room, a topic of
// Options.Presence, by a SUBSCRIBE to /app/presence followed by the topic, which
// is answered once (presencelist.go). They watch it by a SUBSCRIBE to
// /topic/presence followed by the topic. See docs/presence.md.
const (
	// presenceGrace is how long a user whose last session has left stays.
	presenceGrace = 2 * time.Second
	// presenceTick is the time between two events of a room.
	presenceTick = 200 * time.Millisecond
	// presenceChanges and presenceBytes bound an event, and so the traffic of a
	// room: what does not fit waits for the next tick. So does a quarter of
	// Limits.Outbox.
	presenceChanges = 1000
	presenceBytes   = 64 << 10
	// presencePage and presencePageBytes bound an answer. So does half of
	// Limits.Outbox.
	presencePage      = 1000
	presencePageBytes = 128 << 10
)

// presenceRole is what a subscription is for presence.
type presenceRole uint8

const (
	noPresence presenceRole = iota
	inRoom                  // its user is in the room
	watching                // it gets the events of a room
	listing                 // it asks who is in a room
)

// presence keeps who is in the rooms, and sends the events.
type presence struct {
	b        *Broker
	patterns []*topics.Pattern
	node     string // as in the ids of sessions
	events   string // before the room in the destination of its events
	rooms    *roster.Rooms

	armed atomic.Bool // the timer runs, or its function does
	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// presencePath is in both destinations before the room: behind a prefix of topics
// for the events, and behind any prefix of applications for the list.
const presencePath = "/presence"

// newPresence returns nil without Options.Presence.
func newPresence(b *Broker) (*presence, error) {
	o := &b.o
	if len(o.Presence) == 0 {
		return nil, nil
	}
	p := &presence{b: b, node: b.nodeID[:nodeTagSize], events: eventsPrefix(o.names.Prefixes().Topic)}
	if d, err := o.names.Parse(p.events + "/x"); err != nil || d.Kind != topics.Topic {
		return nil, badOption("Presence", "the events of presence are below %s, which is not a topic: give Options.Destinations.Topic a first prefix other than /", p.events)
	}
	for _, text := range o.Presence {
		pattern, problem := topicPattern(o.names, text, "presence")
		if problem == "" && p.owns(strings.TrimSuffix(text, "/**")) {
			problem = "is for the events of presence"
		}
		if problem != "" {
			return nil, badOption("Presence", "%q %s", text, problem)
		}
		p.patterns = append(p.patterns, pattern)
	}
	p.rooms = roster.New(roster.Options{
		Grace: presenceGrace, Changes: presenceChanges,
		Bytes:   func() int { return min(presenceBytes, b.policy.Load().limits.Outbox/4) },
		Leaving: func() int { return b.policy.Load().limits.PresenceLeaving },
	})
	return p, nil
}

// eventsPrefix returns the beginning of the destinations of events: below the
// first prefix of topics that is a prefix.
func eventsPrefix(prefixes []string) string {
	for _, prefix := range prefixes {
		if prefix != "/" {
			return prefix + presencePath
		}
	}
	return presencePath
}

// owns reports whether a topic or a pattern of topics is for events.
func (p *presence) owns(path string) bool {
	if p == nil {
		return false
	}
	rest, ok := strings.CutPrefix(topics.Collapse(path), p.events)
	return ok && (rest == "" || rest[0] == '/')
}

// keeps reports whether a topic is a room. Only canonical spellings are:
// /topic/a/ is another topic than /topic/a, which would be confusing here.
func (p *presence) keeps(path string) bool {
	if topics.Collapse(path) != path || p.owns(path) {
		return false
	}
	return slices.ContainsFunc(p.patterns, func(pattern *topics.Pattern) bool { return pattern.Match(path) })
}

// role returns what a subscription to d is. Who subscribes to a pattern is in no
// room.
func (p *presence) role(d topics.Destination) presenceRole {
	switch {
	case p == nil || d.Pattern:
	case d.Kind == topics.Topic && p.owns(d.Path):
		return watching
	case d.Kind == topics.Topic && p.keeps(d.Path):
		return inRoom
	case d.Kind == topics.App && p.keeps(p.room(listing, d)):
		return listing
	}
	return noPresence
}

// room returns the room that a subscription watches or lists.
func (p *presence) room(role presenceRole, d topics.Destination) string {
	switch role {
	case watching:
		return strings.TrimPrefix(topics.Collapse(d.Path), p.events)
	case listing:
		if room, ok := strings.CutPrefix(topics.Collapse(d.Path), presencePath); ok {
			return room
		}
	}
	return ""
}

// asks returns the topic whose list a destination of a handler asks for, whether
// it is a room or not.
func (p *presence) asks(d topics.Destination) (room string, ok bool) {
	if p == nil || d.Kind != topics.App {
		return "", false
	}
	room = p.room(listing, d)
	return room, strings.HasPrefix(room, "/")
}

// cost returns the memory for a subscription of this role.
func (role presenceRole) cost(d topics.Destination) int {
	switch role {
	case inRoom:
		return roster.UserCost + roster.RoomCost + len(d.Path)
	case watching:
		return roster.RoomCost + len(d.Path)
	}
	return 0
}

// now returns the time for the rooms.
func (p *presence) now() int64 { return int64(time.Since(p.b.started)) }

// attend adds a subscription of a session to its room.
func (s *session) attend(sub *subscriber) {
	p := s.b.presence
	switch {
	case sub.present != inRoom:
		p.watch(sub)
	case !s.attends(sub) && p.rooms.Enter(sub.dest.Path, s.userName(), p.now()):
		p.arm()
	}
}

// depart undoes attend.
func (s *session) depart(sub *subscriber) {
	p := s.b.presence
	switch {
	case sub.present != inRoom:
		p.unwatch(sub)
	case !s.attends(sub) && p.rooms.Leave(sub.dest.Path, s.userName(), p.now()):
		p.arm()
	}
}

// attends reports whether another subscription of the session is in the room of
// sub: a session counts once.
func (s *session) attends(sub *subscriber) bool {
	for _, other := range s.subs {
		if other.present == inRoom && other != sub && other.dest.Path == sub.dest.Path {
			return true
		}
	}
	return false
}

// watch keeps the number of a room for a subscription to its events.
func (p *presence) watch(sub *subscriber) {
	if sub.present == watching {
		p.rooms.Watch(p.room(watching, sub.dest))
	}
}

// unwatch undoes watch.
func (p *presence) unwatch(sub *subscriber) {
	if sub.present == watching {
		p.rooms.Unwatch(p.room(watching, sub.dest))
	}
}

// arm has the next tick look at the rooms.
func (p *presence) arm() {
	if p.armed.Swap(true) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
	case p.timer == nil:
		p.timer = time.AfterFunc(presenceTick, p.fire)
	default:
		p.timer.Reset(presenceTick)
	}
}

func (p *presence) fire() {
	if !p.b.spawn(p.tick) {
		p.close()
	}
}

// tick sends the events since the last tick. Only one goroutine at a time does.
func (p *presence) tick() {
	bt := p.b.newBatch()
	for _, e := range p.rooms.Tick(p.now()) {
		p.send(&e, bt)
	}
	bt.flush()
	bt.yield()
	bt.release()
	p.armed.Store(false)
	if p.rooms.Pending() {
		p.arm()
	}
}

// close stops the timer.
func (p *presence) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// presenceEvent is the body of a message about changes of a room.
type presenceEvent struct {
	Destination string         `json:"destination"`
	Node        string         `json:"node"`
	Number      uint64         `json:"number"`
	Joined      []presenceUser `json:"joined"`
	Left        []string       `json:"left"`
	Users       int            `json:"users"`
	Anonymous   int            `json:"anonymous"`
}

type presenceUser struct {
	User  string    `json:"user"`
	Since time.Time `json:"since"`
}

// send delivers an event to those who watch the room, and not to patterns:
// whoever may read /topic/** is not shown who reads what.
func (p *presence) send(e *roster.Event, bt *batch) {
	b := p.b
	body, err := compactJSON(&presenceEvent{
		Destination: e.Room, Node: p.node, Number: e.Number,
		Joined: p.joined(e.Joined), Left: append([]string{}, e.Left...), Users: e.Users, Anonymous: e.Anonymous,
	})
	if err != nil {
		b.o.Logger.Error("an event of presence could not be encoded", "error", err)
		return
	}
	pub := &bt.pub
	pub.reset()
	pub.set(&Message{Headers: jsonHeaders, Body: body}, p.events+e.Room)
	pub.Prefix, pub.Seq = b.idPrefix, b.nextID()
	for _, sub := range b.router.Match(topics.Destination{Kind: topics.Topic, Name: pub.Destination, Path: pub.Destination}) {
		if !sub.dest.Pattern && sub.offer(pub, bt) {
			b.stats.delivered.Add(1)
		}
	}
}

func (p *presence) joined(list []roster.Joined) []presenceUser {
	users := make([]presenceUser, len(list))
	for i, j := range list {
		users[i] = presenceUser{j.User, p.since(j.Since)}
	}
	return users
}

// since returns a time of the rooms for people.
func (p *presence) since(at int64) time.Time {
	return p.b.started.Add(time.Duration(at)).UTC().Truncate(time.Millisecond)
}

// compactJSON encodes v without escapes that only HTML needs: a name is then as
// long as package roster counts it.
func compactJSON(v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// unwatchable returns why the program cannot subscribe to d, if d is for events.
func (p *presence) unwatchable(d topics.Destination) error {
	switch {
	case d.Kind != topics.Topic || !p.owns(d.Path):
	case d.Pattern:
		return errors.New("presence is watched one topic at a time, not by a pattern")
	case !p.keeps(strings.TrimPrefix(d.Path, p.events)):
		return errors.New("no presence is kept for this topic (Options.Presence)")
	}
	return nil
}
