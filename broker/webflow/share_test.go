package webflow

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// In the mode Open one user or one address cannot take up all operations, and
// regains its share as its operations end or are announced.
func TestUnannouncedOperationsAreShared(t *testing.T) {
	f, err := New(brokertest.New(t, broker.Options{}), Options{Registration: Open, MaxPerUser: 3, MaxOperations: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	take := func(p *auth.Principal, address string) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		n++
		r := &broker.Request{Principal: p, Remote: netip.MustParseAddrPort(address)}
		_, err := f.takeUp(f.patient(), fmt.Sprint("id", n), f.client(fmt.Sprint("session", n)), r)
		return err == nil
	}
	ann, nobody, backend := &auth.Principal{Name: "ann"}, &auth.Principal{}, &auth.Principal{Name: "app", Roles: []string{auth.RoleBackend}}
	for i, tc := range []struct {
		p       *auth.Principal
		address string
		want    bool
	}{
		{ann, "192.0.2.1:1", true}, {ann, "192.0.2.2:1", true}, {ann, "192.0.2.3:1", true}, {ann, "192.0.2.4:1", false},
		{nobody, "192.0.2.1:1", true}, {nobody, "192.0.2.1:2", true}, {nobody, "[::ffff:192.0.2.1]:3", true}, {nobody, "192.0.2.1:4", false},
		{nobody, "[2001:db8::1]:1", true}, {nobody, "[2001:db8::2]:1", true}, {nobody, "[2001:db8::3]:1", true}, {nobody, "[2001:db8::4]:1", false},
		{nobody, "[2001:db8:0:1::1]:1", true},
		{backend, "192.0.2.1:1", true}, {backend, "192.0.2.1:1", true}, {backend, "192.0.2.1:1", true}, {backend, "192.0.2.1:1", true},
	} {
		if got := take(tc.p, tc.address); got != tc.want {
			t.Errorf("case %d: taken up: %v, want %v", i, got, tc.want)
		}
	}
	if _, err := f.Open(t.Context(), Operation{ID: "announced", WebSocketID: "id1", Owner: Owner{User: "ann"}}); err != nil {
		t.Fatal(err)
	}
	if !take(ann, "192.0.2.1:1") || take(ann, "192.0.2.1:1") {
		t.Error("an announcement gives back one and no more")
	}
	f.mu.Lock()
	for op := range f.byWebSocketID.all() {
		f.remove(op)
	}
	left := len(f.shares)
	f.mu.Unlock()
	if left != 0 {
		t.Errorf("%d shares are left of nothing", left)
	}
}
