package config

import (
	"slices"
	"testing"
)

// Adopt takes what a reload puts in force, and nothing else.
func TestAdoptTakesLiveKeysOnly(t *testing.T) {
	now, file := Default(), Default()
	file.Limits.Frame, file.WebSocket.Origins, file.Log.Sessions = 4096, []string{"https://a.example.com"}, "off"
	file.Rules = []Rule{{Allow: true, Actions: []string{"send"}, Destination: "/topic/a"}}
	file.Node, file.Limits.ConnectDeadline = "other", 1e9
	adopted := now.Adopt(file)
	if got := Changed(now, adopted); !slices.Equal(got, []string{"websocket.origins", "limits.frame", "log.sessions", "rules"}) {
		t.Errorf("adopted %q", got)
	}
	if got := Changed(adopted, file); !slices.Equal(got, []string{"node", "limits.connect_deadline"}) {
		t.Errorf("left out %q", got)
	}
	if got := Changed(now, Default()); len(got) != 0 {
		t.Errorf("the configuration in force was changed: %q", got)
	}
}
