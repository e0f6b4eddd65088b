package broker

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Presence is who is subscribed to a topic of Options.Presence.
type Presence struct {
	// Destination is the topic.
	Destination string
	// Node is the tag with which the ids of this broker's sessions begin, and
	// Number is that of the latest event, as watching clients know them: the
	// lists contain what the events up to Number have said.
	Node   string
	Number uint64
	// Users are the users with a subscription to Destination itself, in the
	// order in which they came. Subscriptions to patterns and those of the
	// program do not count.
	Users []PresentUser
	// Anonymous is the number of subscribed sessions without a user name.
	Anonymous int
}

// PresentUser is a user who is subscribed to a topic.
type PresentUser struct {
	User string `json:"user"`
	// Sessions is the number of the user's sessions that are subscribed. It is
	// 0 for up to two seconds after the last one has left, since the user may
	// come back.
	Sessions int `json:"sessions"`
	// Since is when the user came. Absences of up to two seconds do not count.
	Since time.Time `json:"since"`
}

// Presence returns who is subscribed to a topic of Options.Presence; nobody, if
// the topic does not exist. The error is [ErrDestination] for all others.
// Presence asks no rules and takes time and memory in proportion to the number
// of users.
func (b *Broker) Presence(destination string) (Presence, error) {
	d, err := b.o.names.Parse(destination)
	switch {
	case err != nil:
		return Presence{}, fmt.Errorf("%w: %w", ErrDestination, err)
	case b.presence.role(d) != inRoom:
		return Presence{}, fmt.Errorf("%w: no presence is kept for %q (presence)", ErrDestination, destination)
	}
	p, _ := b.presence.page(d.Path, 0, math.MaxInt, math.MaxInt)
	return Presence{d.Path, b.presence.node, p.At[b.presence.node], p.Users, p.Anonymous}, nil
}

// presenceList is the answer to a client.
type presenceList struct {
	Destination string            `json:"destination"`
	At          map[string]uint64 `json:"at"` // numbers of events by node
	Users       []PresentUser     `json:"users"`
	Total       int               `json:"total"`
	Anonymous   int               `json:"anonymous"`
	Next        string            `json:"next,omitempty"`
}

// page returns the users of a room who came after the one with the number after.
func (p *presence) page(room string, after uint64, count, bytes int) (list presenceList, next uint64) {
	page := p.rooms.Page(room, after, count, bytes)
	list = presenceList{
		Destination: room, At: map[string]uint64{p.node: page.Number},
		Users: make([]PresentUser, len(page.Users)), Total: page.Total, Anonymous: page.Anonymous,
	}
	for i, u := range page.Users {
		list.Users[i] = PresentUser{u.Name, u.Sessions, p.since(u.Since)}
	}
	return list, page.Next
}

// headerAfter is the header of a SUBSCRIBE that asks for the next page.
const headerAfter = "after"

// answer answers a SUBSCRIBE to the list of a room.
func (p *presence) answer(ctx context.Context, r *Request) error {
	after, fail := p.after(r.Header(headerAfter))
	if fail != nil {
		return fail
	}
	room := p.room(listing, topics.Destination{Path: r.Destination})
	list, next := p.page(room, after, presencePage, min(presencePageBytes, p.b.policy.Load().limits.Outbox/2))
	if next != 0 {
		list.Next = p.node + "-" + strconv.FormatUint(next, 10)
	}
	body, err := compactJSON(&list)
	if err != nil {
		return err
	}
	_, err = r.Reply(ctx, &Message{Headers: jsonHeaders, Body: body})
	return err
}

// after reads the place in a list: the next of the answer before.
func (p *presence) after(text string) (uint64, *Error) {
	if text == "" {
		return 0, nil
	}
	number, ok := strings.CutPrefix(text, p.node+"-")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return 0, failure(ReasonProtocolError, "after must be the next of an answer of this broker, not %s", quoted(text))
	}
	return n, nil
}
