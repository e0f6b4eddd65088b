package config

import (
	"slices"
	"testing"
)

// What a reload adopts keeps whether it was given, at its default or not.
func TestAdoptTakesWhatWasGiven(t *testing.T) {
	now, err := Load(Sources{Env: []string{"HOOFBEAT_LIMITS_CONNECTIONS=65536", "HOOFBEAT_NODE=a"}})
	if err != nil {
		t.Fatal(err)
	}
	file, err := Load(Sources{Env: []string{"HOOFBEAT_LIMITS_SESSIONS=100000", "HOOFBEAT_TCP=127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"limits.sessions": true, "limits.connections": false, "node": true, "tcp": false, "limits.frame": false} {
		if got := now.Adopt(file).Given(path); got != want {
			t.Errorf("%s is given: %v, want %v", path, got, want)
		}
	}
	if !now.Given("limits.connections") || now.Given("limits.sessions") {
		t.Error("the configuration in force was changed")
	}
	if !Default().Adopt(file).Given("limits.sessions") {
		t.Error("over the defaults: limits.sessions is not given")
	}
}

// The limits of a history are adopted with all of its destinations, or not at
// all.
func TestAdoptTakesLimitsOfAHistory(t *testing.T) {
	now, file := Default(), Default()
	now.History = []History{{Destination: "/topic/a", Messages: 1}, {Destination: "/topic/b", Messages: 1}}
	file.History = []History{{Destination: "/topic/a", Messages: 2}, {Destination: "/topic/b", Messages: 1}}
	file.HistoryBytes = 1 << 20
	if got := Changed(now, now.Adopt(file)); !slices.Equal(got, []string{"history", "history_bytes"}) {
		t.Errorf("adopted %q", got)
	}
	slices.Reverse(file.History)
	if got := Changed(now, now.Adopt(file)); len(got) != 0 {
		t.Errorf("adopted %q, although the destinations are others", got)
	}
	if got := Changed(now.Adopt(file), file); !slices.Equal(got, []string{"history", "history_bytes"}) {
		t.Errorf("left out %q", got)
	}
}

// Adopt takes what a reload puts in force, and nothing else.
func TestAdoptTakesLiveKeysOnly(t *testing.T) {
	now, file := Default(), Default()
	file.Limits.Frame, file.WebSocket.Origins, file.Log.Sessions = 4096, []string{"https://a.example.com"}, "off"
	file.WebSocket.Hosts = []string{"a.example.com"}
	file.Rules = []Rule{{Allow: true, Actions: []string{"send"}, Destination: "/topic/a"}}
	file.Node, file.Limits.ConnectDeadline = "other", 1e9
	adopted := now.Adopt(file)
	if got := Changed(now, adopted); !slices.Equal(got, []string{"websocket.origins", "websocket.hosts", "limits.frame", "log.sessions", "rules"}) {
		t.Errorf("adopted %q", got)
	}
	if got := Changed(adopted, file); !slices.Equal(got, []string{"node", "limits.connect_deadline"}) {
		t.Errorf("left out %q", got)
	}
	if got := Changed(now, Default()); len(got) != 0 {
		t.Errorf("the configuration in force was changed: %q", got)
	}
}
