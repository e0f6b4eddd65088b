package broker

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/frames"
)

// Destinations that every session may use whatever the rules are, since they
// concern only the session itself.
const (
	sessionNotices = "/topic/session"   // behind the user prefix: events of its credential
	softErrors     = "/queue/errors"    // behind the user prefix: denials, if SoftDenial is set
	sessionRefresh = "/session/refresh" // behind an application prefix: renews the credential of the session
	bootstrap      = "/bootstrap"       // behind an application prefix: the client's identity, and the list of nodes
)

// sessionEvent is the body of a message on /user/topic/session.
type sessionEvent struct {
	Event        string `json:"event"`
	Expires      int64  `json:"expires,omitempty"` // Unix seconds
	Subscription string `json:"subscription,omitempty"`
	Destination  string `json:"destination,omitempty"`
}

// notify sends JSON to a private destination of this session.
func (s *session) notify(path string, v any, bt *batch) {
	body, err := json.Marshal(v)
	if err != nil {
		s.b.o.Logger.Error("a notice could not be encoded", "error", err)
		return
	}
	p := &publication{Message: encode.Message{Prefix: s.b.idPrefix, Seq: s.b.nextID()}}
	p.set(&Message{Headers: jsonHeaders, Body: body}, s.b.userPrefix()+path)
	s.b.deliverToSession(s.id, path, p, bt)
}

// softly reports a denial to the client and keeps the session if SoftDenial is
// set: one denied SUBSCRIBE should not end all other subscriptions.
func (s *session) softly(fail *Error, f *frames.Frame, bt *batch) bool {
	if !s.b.o.SoftDenial || fail.Reason != ReasonDenied {
		return false
	}
	s.b.warn("denied", s.source(""), "session", s.id, "user", s.userName(), "remote", s.peer, "command", f.Command, "detail", fail.Message)
	s.notify(softErrors, struct {
		Error       string `json:"error"`
		Message     string `json:"message"`
		Command     string `json:"command"`
		Destination string `json:"destination,omitempty"`
		ID          string `json:"id,omitempty"`
		Receipt     string `json:"receipt,omitempty"`
	}{"denied", fail.Message, f.Command, f.Get(frames.HeaderDestination), f.Get(frames.HeaderID), f.Get(frames.HeaderReceipt)}, bt)
	return true
}

// bootstrap answers a SUBSCRIBE to /app/bootstrap.
func (b *Broker) bootstrap(ctx context.Context, r *Request) error {
	if !r.Subscribe {
		return failure(ReasonDenied, "%s is for subscribing", b.appName(bootstrap))
	}
	type node struct {
		ID       string `json:"id"`
		URL      string `json:"url"`
		Attached bool   `json:"attached"`
	}
	answer := struct {
		User  string `json:"user"`
		Node  string `json:"node"`
		Nodes []node `json:"nodes"`
	}{User: r.Principal.Name, Node: b.o.Node, Nodes: []node{}}
	nodes := b.o.Nodes
	if now := b.nodes.Load(); now != nil {
		nodes = *now
	}
	for _, n := range nodes {
		answer.Nodes = append(answer.Nodes, node{n.ID, n.URL, n.ID == b.o.Node})
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = r.Reply(ctx, &Message{Headers: jsonHeaders, Body: body})
	return err
}

// SetNodes replaces [Options.Nodes], which the answer to a SUBSCRIBE to
// /app/bootstrap lists: in a cluster, those that are live. Whoever has an answer
// is not told.
func (b *Broker) SetNodes(nodes []Node) error {
	if err := nodesValid(nodes); err != nil {
		return err
	}
	nodes = slices.Clone(nodes)
	b.nodes.Store(&nodes)
	return nil
}

// nodesValid checks the list that bootstrap shows.
func nodesValid(nodes []Node) error {
	for _, n := range nodes {
		if n.ID == "" {
			return badOption("Nodes", "a node without an ID")
		}
	}
	return nil
}
