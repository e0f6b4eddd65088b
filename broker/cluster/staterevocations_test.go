package cluster

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func revoke(t testing.TB, s *State, r auth.Revocation) {
	t.Helper()
	if err := s.Revocations().Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// What is revoked on one node is revoked on all, with the same epochs, is told
// once on each, and survives them all.
func TestRevocationsOnAllNodes(t *testing.T) {
	e := startEngine(t)
	a, b := e.state(StateOptions{}), e.state(StateOptions{})
	if a.Revocations().Source() == "" || a.Revocations().Source() != b.Revocations().Source() {
		t.Fatal("the sources differ")
	}
	var mu sync.Mutex
	told := map[string]int{}
	for name, s := range map[string]*State{"a": a, "b": b} {
		s.Revocations().Watch(func(v auth.Event) {
			mu.Lock()
			defer mu.Unlock()
			told[fmt.Sprint(name, " ", v.User, v.Revocation.Credential, v.Revocation.Session, " ", v.Local)]++
		})
	}
	issued := time.Now().Add(-time.Minute)
	revoke(t, a, auth.Revocation{User: "alice"})
	revoke(t, b, auth.Revocation{Credential: "c"})
	revoke(t, a, auth.Revocation{Session: "s"})
	if err := b.Revocations().BumpEpoch(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"a alice true": 1, "b alice false": 1, "a c false": 1, "b c true": 1, "a s true": 1, "b s false": 1, "a bob false": 1, "b bob true": 1,
	}
	defer func() {
		if t.Failed() {
			t.Logf("told %v", told)
		}
	}()
	brokertest.Eventually(t, "both nodes are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == len(want)
	})
	check := func(name string, v *auth.Revocations) {
		t.Helper()
		if !v.Revoked(&auth.Principal{Name: "alice", Issued: issued}) || !v.Revoked(&auth.Principal{CredentialID: "c"}) {
			t.Errorf("%s does not know what was revoked", name)
		}
		if v.Revoked(&auth.Principal{Name: "bob", Issued: issued}) {
			t.Errorf("%s: bob is revoked", name)
		}
	}
	check("a", a.Revocations())
	check("b", b.Revocations())
	alice, bob := a.Revocations().Epoch("alice"), a.Revocations().Epoch("bob")
	if alice == 0 || bob <= alice || b.Revocations().Epoch("alice") != alice || b.Revocations().Epoch("bob") != bob {
		t.Errorf("epochs %d and %d, there %d and %d", alice, bob, b.Revocations().Epoch("alice"), b.Revocations().Epoch("bob"))
	}
	mu.Lock()
	for what, n := range want {
		if told[what] != n {
			t.Errorf("%s: told %d times", what, told[what])
		}
	}
	mu.Unlock()
	source := a.Revocations().Source()
	e.restart()
	next := e.state(StateOptions{}).Revocations()
	check("the next one", next)
	if next.Source() != source || next.Epoch("alice") != alice || next.Epoch("bob") != bob {
		t.Errorf("the next one: epochs %d and %d of %s", next.Epoch("alice"), next.Epoch("bob"), next.Source())
	}
}

// A later epoch does not hide an earlier revocation, and an earlier time does
// not replace a later one.
func TestRevocationIsNotReplaced(t *testing.T) {
	e := startEngine(t)
	s := e.state(StateOptions{})
	now := time.Now()
	revoke(t, s, auth.Revocation{User: "alice", At: now})
	revoke(t, s, auth.Revocation{User: "alice", At: now.Add(-time.Hour)})
	revoke(t, s, auth.Revocation{Credential: "c"})
	revoke(t, s, auth.Revocation{Credential: "c", Until: now.Add(time.Minute)})
	if err := s.Revocations().BumpEpoch(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	e.restart()
	v := e.state(StateOptions{}).Revocations()
	if !v.Revoked(&auth.Principal{Name: "alice", Issued: now.Add(-time.Minute)}) {
		t.Error("the later time is lost")
	}
	stream, err := e.js.Stream(t.Context(), "KV_HB_AUTH")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(t.Context(), "$KV.HB_AUTH."+keyCredential+hashed("c"))
	if err != nil || m.Header.Get("Nats-TTL") != "" {
		t.Errorf("a credential without an end is forgotten after %q, %v", m.Header.Get("Nats-TTL"), err)
	}
}

// Two nodes revoke the same at once, many times: epochs grow on both and end
// equal.
func TestRevocationsRace(t *testing.T) {
	e := startEngine(t)
	a, b := e.state(StateOptions{}), e.state(StateOptions{})
	var group sync.WaitGroup
	for _, s := range []*State{a, b} {
		for range 2 {
			group.Go(func() {
				for range 20 {
					before := s.Revocations().Epoch("alice")
					if err := s.Revocations().Revoke(t.Context(), auth.Revocation{User: "alice"}); err != nil {
						t.Error(err)
					}
					if after := s.Revocations().Epoch("alice"); after <= before {
						t.Errorf("epoch %d after %d", after, before)
					}
				}
			})
		}
	}
	testkit.Wait(t, &group)
	brokertest.Eventually(t, "the nodes agree", func() bool { return a.Revocations().Epoch("alice") == b.Revocations().Epoch("alice") })
}

// Without the engine nothing is confirmed, and what was decided is in force here.
func TestRevocationsWithoutTheEngine(t *testing.T) {
	e := startEngine(t)
	s := e.state(StateOptions{})
	e.conn.Close()
	began := time.Now()
	if err := s.Revocations().Revoke(t.Context(), auth.Revocation{Credential: "c"}); !errors.Is(err, auth.ErrNotKept) {
		t.Error(err)
	}
	if took := time.Since(began); took > keepPatience+time.Second {
		t.Errorf("it took %v", took)
	}
	if !s.Revocations().Revoked(&auth.Principal{CredentialID: "c"}) {
		t.Error("it is not in force")
	}
}
