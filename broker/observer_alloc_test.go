package broker

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

// The end of a subscription costs nothing more while no observer wants to know.
func TestObserversThatDoNotAskCostNothing(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, sub, bt := &session{b: b}, new(subscriber), b.newBatch()
	defer bt.release()
	for name, o := range map[string]*Observer{"no observer": nil, "another observer": {Subscribed: func(SessionInfo, string, string) {}}} {
		if o != nil {
			defer b.Observe(*o)()
		}
		if n := testing.AllocsPerRun(100, func() { s.tellUnsubscribed(bt, EndedByClient, sub) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
