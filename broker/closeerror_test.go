package broker

import (
	"context"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// parting is a client that says CONNECT and then closes with a code.
type parting struct {
	*caller
	code int
	said bool
}

func (p *parting) Receive() ([]byte, error) {
	if p.said {
		return nil, &CloseError{Code: p.code}
	}
	p.said = true
	return <-p.in, nil // it is there
}

// A Transport says with which code its peer closed. The codes that never travel
// stand for no code and for a connection that was lost.
func TestTransportSaysHowItsPeerClosed(t *testing.T) {
	for _, tc := range []struct {
		code   int
		reason Reason
		client int
	}{
		{1000, ReasonDisconnect, 1000}, {1001, ReasonDisconnect, 1001}, {4321, ReasonDisconnect, 4321},
		{0, ReasonDisconnect, 1005}, {1005, ReasonDisconnect, 1005},
		{1006, ReasonConnectionLost, 0}, {1015, ReasonConnectionLost, 0},
	} {
		b, err := New(Options{Authenticator: auth.Anonymous})
		if err != nil {
			t.Fatal(err)
		}
		heard, served := make(chan *Error, 1), make(chan error, 1)
		b.Observe(Observer{Disconnected: func(_ SessionInfo, e *Error) { heard <- e }})
		go func() {
			served <- b.Serve(context.Background(), &parting{caller: newCaller(), code: tc.code}, Admission{})
		}()
		e, returned := testkit.Receive(t, heard), testkit.Receive(t, served)
		if e.Reason != tc.reason || e.ClientCode != tc.client {
			t.Errorf("code %d: the observer hears %v, code %d; want %v and %d", tc.code, e, e.ClientCode, tc.reason, tc.client)
		}
		if (returned == nil) != (tc.reason == ReasonDisconnect) {
			t.Errorf("code %d: Serve returned %v", tc.code, returned)
		}
		if n := b.Stats().Ended[tc.reason.String()]; n != 1 {
			t.Errorf("code %d: %d are counted as %v", tc.code, n, tc.reason)
		}
		closes(t, b)
	}
}
