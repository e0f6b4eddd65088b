package cluster

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// Nodes know of each other, of what changes, and of who goes.
func TestRoster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	server, err := embedded.StartLink(ctx, embedded.LinkOptions{Name: "a", Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	var c []*nats.Conn
	for range 2 {
		conn, err := server.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		c = append(c, conn)
	}
	var ready atomic.Bool
	lists := make(chan []Profile, 100)
	one, err := NewRoster(RosterOptions{
		Conn: c[0], Every: 200 * time.Millisecond,
		Self:    func() Profile { return Profile{ID: "1", Name: "n1", Ready: true} },
		Changed: func(list []Profile) { lists <- list },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := NewRoster(RosterOptions{
		Conn: c[1], Every: 200 * time.Millisecond,
		Self: func() Profile {
			return Profile{ID: "2", Name: "n2", URL: "ws://b/ws", Ready: ready.Load(), Interest: 3}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	want := func(what string, names ...string) {
		t.Helper()
		brokertest.Eventually(t, what, func() bool {
			var got []string
			for _, p := range one.Nodes() {
				if p.Ready {
					got = append(got, p.Name)
				}
			}
			return slices.Equal(got, names) && len(one.Nodes()) >= len(names)
		})
	}
	brokertest.Eventually(t, "the nodes know each other", func() bool { return len(one.Nodes()) == 2 && len(two.Nodes()) == 2 })
	if p := one.Nodes()[1]; p.ID != "2" || p.URL != "ws://b/ws" || p.Interest != 3 || p.Ready {
		t.Errorf("n1 knows %+v", p)
	}
	want("one node is ready", "n1")
	ready.Store(true)
	want("both nodes are ready", "n1", "n2")
	two.Close()
	brokertest.Eventually(t, "a node has gone", func() bool { return len(one.Nodes()) == 1 })
	for last := 0; ; {
		select {
		case list := <-lists:
			if last = len(list); last == 1 && len(lists) == 0 {
				return // the last change is that n2 has gone
			}
		case <-time.After(time.Minute):
			t.Fatalf("the last change has %d nodes", last)
		}
	}
}

// A node that says nothing is gone after two seconds, and seen to be so half a
// second later. One that says good-bye is gone at once. What cannot be read
// changes nothing.
func TestX32SilentNodesAreGone(t *testing.T) {
	changes := 0
	r := &Roster{
		o:    RosterOptions{Every: 500 * time.Millisecond, Changed: func([]Profile) { changes++ }, Logger: slog.New(slog.DiscardHandler)},
		self: Profile{ID: "1", Name: "n1"}, all: make(map[string]*rosterNode),
	}
	hear := func(what report, now time.Time) {
		t.Helper()
		data, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		r.hear(data, now)
	}
	began := time.Now()
	two := report{Profile: Profile{ID: "2", Name: "n2", Ready: true}}
	hear(two, began)
	hear(two, began.Add(time.Second))
	r.hear([]byte("{"), began)
	r.hear([]byte(`{"name":"n3"}`), began)
	r.expire(began.Add(3 * time.Second))
	if len(r.Nodes()) != 2 || changes != 1 {
		t.Errorf("%d nodes, %d changes: want n1 and n2, which has come", len(r.Nodes()), changes)
	}
	r.expire(began.Add(3*time.Second + time.Millisecond))
	if len(r.Nodes()) != 1 || changes != 2 {
		t.Errorf("%d nodes, %d changes: n2 was silent for more than two seconds", len(r.Nodes()), changes)
	}
	hear(two, began)
	two.Bye = true
	hear(two, began)
	if len(r.Nodes()) != 1 || changes != 4 {
		t.Errorf("%d nodes, %d changes: n2 has come and gone", len(r.Nodes()), changes)
	}
}
