package webflow_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

func TestOptionsAreChecked(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	for field, o := range map[string]webflow.Options{
		"Registration":  {Registration: 2},
		"Reply":         {Reply: 2},
		"Policy":        {Policy: 2},
		"TTL":           {TTL: 25 * time.Hour},
		"Grace":         {Grace: 25 * time.Hour},
		"HMACKey":       {HMACKey: []byte("short")},
		"MaxIDBytes":    {MaxIDBytes: -1},
		"AuthResults":   {AuthResults: []string{"a\nb"}},
		"Interim":       {Interim: []string{"LATER"}},
		"ExpiredResult": {ExpiredResult: "AUTH_FAILED"},
	} {
		if _, err := webflow.New(b, o); err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := webflow.New(b, webflow.Options{AuthResults: []string{}}); err == nil {
		t.Error("no results at all are taken")
	}
	if _, err := webflow.New(nil, webflow.Options{}); err == nil {
		t.Error("no broker is taken")
	}
	f, err := webflow.New(b, webflow.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := webflow.New(b, webflow.Options{}); err == nil {
		t.Error("a second Flow is taken")
	}
}

func TestOperationsAreChecked(t *testing.T) {
	_, f := start(t, webflow.Options{})
	for name, o := range map[string]webflow.Operation{
		"no id":             {},
		"long id":           {ID: strings.Repeat("x", 257)},
		"control character": {ID: "a\x00b"},
		"invalid UTF-8":     {ID: "\xff"},
		"long webSocketId":  {ID: "op", WebSocketID: strings.Repeat("x", 257)},
		"two owners":        {ID: "op", Owner: webflow.Owner{User: "alice", Anyone: true}},
		"negative TTL":      {ID: "op", TTL: -1},
		"endless TTL":       {ID: "op", TTL: 25 * time.Hour},
	} {
		if _, err := f.Open(t.Context(), o); !errors.Is(err, webflow.ErrOperation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOperationsThatMeet(t *testing.T) {
	_, f := start(t, webflow.Options{})
	steps := []struct {
		o    webflow.Operation
		want error
	}{
		{webflow.Operation{ID: "a", Owner: user("alice")}, nil},
		{webflow.Operation{ID: "a", Owner: user("alice")}, nil},
		{webflow.Operation{ID: "a", Owner: user("bob")}, webflow.ErrExists},
		{webflow.Operation{ID: "a", WebSocketID: "other", Owner: user("alice")}, webflow.ErrExists},
		{webflow.Operation{ID: "b", WebSocketID: webflow.WebSocketID("a"), Owner: user("alice")}, webflow.ErrExists},
		{webflow.Operation{ID: "c", WebSocketID: "ws", Owner: anyone}, nil},
		{webflow.Operation{ID: "c", WebSocketID: "ws", Owner: anyone}, nil},
		{webflow.Operation{ID: "c", Owner: anyone}, webflow.ErrExists},
		{webflow.Operation{ID: "d", WebSocketID: "ws", Owner: anyone}, webflow.ErrExists},
		{webflow.Operation{ID: "c2", WebSocketID: webflow.WebSocketID("e"), Owner: anyone}, nil},
		{webflow.Operation{ID: "e", Owner: anyone}, webflow.ErrExists},
	}
	for i, s := range steps {
		if _, err := f.Open(t.Context(), s.o); err != s.want {
			t.Errorf("step %d: %v, want %v", i, err, s.want)
		}
	}
	if s := f.Stats(); s.Operations != 3 {
		t.Errorf("%+v", s)
	}
	if _, err := f.Notify(t.Context(), "e", "DONE"); err != webflow.ErrUnknown {
		t.Errorf("Notify by an id whose derived name is another's: %v", err)
	}
}
