package cluster

import (
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/storetest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// The store that survives keeps the contract of the one in memory, on two nodes.
func TestOperationsKeepTheContract(t *testing.T) {
	storetest.Operations(t, func(t *testing.T) (a, b webflow.Store) {
		e := startEngine(t)
		return e.state(StateOptions{}).Operations(), e.state(StateOptions{}).Operations()
	})
}

func TestEncryptedOperationsKeepTheContract(t *testing.T) {
	storetest.Operations(t, func(t *testing.T) (a, b webflow.Store) {
		e := startEngine(t)
		o := StateOptions{Key: make([]byte, 32)}
		return e.state(o).Operations(), e.state(o).Operations()
	})
}

// Operations survive a restart, with their revisions: who has read one before
// can replace it.
func TestOperationsSurviveARestart(t *testing.T) {
	e := startEngine(t)
	r := &webflow.Record{
		WebSocketID: "ws", ID: "op", Named: true, Owner: webflow.Owner{User: "alice"}, Expires: time.Now().Add(time.Hour).UnixNano(),
		Result: "CONFIRMED", Terminal: true, Number: 7, Acked: true,
	}
	if err := e.state(StateOptions{}).Operations().Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	e.restart()
	s := e.state(StateOptions{}).Operations()
	if got, err := s.Find(t.Context(), "op"); err != nil || *got != *r {
		t.Errorf("%+v, %v", got, err)
	}
	next := *r
	next.Offered = true
	if err := s.Update(t.Context(), &next); err != nil || next.Revision <= r.Revision {
		t.Errorf("revision %d after %d, %v", next.Revision, r.Revision, err)
	}
}

// A record that is not text is refused: it would come back as another one.
func TestRecordThatIsNotText(t *testing.T) {
	e := startEngine(t)
	r := &webflow.Record{WebSocketID: "a\xff", Expires: time.Now().Add(time.Hour).UnixNano()}
	if err := e.state(StateOptions{}).Operations().Create(t.Context(), r); err == nil {
		t.Error("it is kept")
	}
}
