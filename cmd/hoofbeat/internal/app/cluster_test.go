package app

import (
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// /readyz says for whom a node waits.
func TestWhyANodeIsNotReady(t *testing.T) {
	silent := []embedded.Peer{{Name: "n2", Address: "10.0.0.2:6222", Store: true}, {Address: "10.0.0.3:6222", Store: true}, {Name: "n4"}}
	for want, st := range map[string]embedded.Status{
		"forming: waiting for n2, 10.0.0.3:6222, for 12s":         {Peers: silent},
		"forming: the nodes elect a leader, for 12s":              {},
		"forming: the secret differs":                             {Peers: silent, Refused: "the secret differs"},
		"no meta leader for 12s: out of reach: n2, 10.0.0.3:6222": {Peers: silent, Formed: true},
		"reading what the nodes share, for 12s":                   {Peers: silent, Formed: true, Leader: "n1"},
		"no meta leader for 12s":                                  {Formed: true},
	} {
		if got := formingReason(st, 12*time.Second).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Clients reach a node where nodes says, or at its public listener.
func TestPublicURL(t *testing.T) {
	const listener = "ws://10.0.0.1:8080/ws"
	list := []config.Node{{ID: "n2", URL: "wss://two"}, {ID: "n1", URL: "wss://one"}}
	for _, test := range []struct {
		listen string
		nodes  []config.Node
		want   string
	}{
		{"10.0.0.1:8080", nil, listener},
		{"10.0.0.1:8080", list[:1], listener},
		{"10.0.0.1:8080", list, "wss://one"},
		{":8080", list, "wss://one"},
		{":8080", nil, ""},
		{"0.0.0.0:8080", nil, ""},
		{"[::]:8080", nil, ""},
		{"unix:/run/hoofbeat.sock", nil, ""},
	} {
		c := &config.Config{Listen: test.listen, Nodes: test.nodes, Cluster: config.Cluster{Name: "n1"}}
		if got := publicURL(c, listener); got != test.want {
			t.Errorf("%s with %v: %q, want %q", test.listen, test.nodes, got, test.want)
		}
	}
}
