package broker

import (
	"context"
	"encoding/json"
)

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
	for _, n := range b.o.Nodes {
		answer.Nodes = append(answer.Nodes, node{n.ID, n.URL, n.ID == b.o.Node})
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = r.Reply(ctx, &Message{Headers: jsonHeaders, Body: body})
	return err
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
