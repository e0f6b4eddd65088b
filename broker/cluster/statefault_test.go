package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// faults is a JetStream that does what one behind a network may do: it answers
// late and out of order, does a step twice, refuses to answer, and commits and
// then answers with an error. What it stores is stored.
type faults struct {
	jetstream.JetStream
	off   atomic.Bool
	drawn atomic.Int32
	n     [4]atomic.Int32 // how often each happened
}

const (
	isLate = iota
	isTwice
	isLost
	isDown
)

var errFault = errors.New("nats: no response from stream")

// draw chooses what happens to a call: mostly nothing, and each kind at least
// once.
func (f *faults) draw() int {
	if f.off.Load() {
		return -1
	}
	kind, n, drawn := -1, rand.IntN(100), int(f.drawn.Add(1))
	switch {
	case drawn > 20 && drawn <= 20+len(f.n):
		kind = drawn - 21
	case n < 30:
		kind = isLate
	case n < 40:
		kind = isTwice
	case n < 50:
		kind = isLost
	case n < 55:
		kind = isDown
	}
	if kind >= 0 {
		f.n[kind].Add(1)
	}
	return kind
}

func late(ctx context.Context) {
	select {
	case <-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond):
	case <-ctx.Done():
	}
}

func (f *faults) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	publish := func() (*jetstream.PubAck, error) {
		one := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{}}
		for name, values := range m.Header {
			one.Header[name] = append([]string(nil), values...)
		}
		return f.JetStream.PublishMsg(ctx, one, opts...)
	}
	switch f.draw() {
	case isDown:
		return nil, errFault
	case isLost:
		_, _ = publish()
		return nil, errFault
	case isTwice:
		first, err := publish()
		second, again := publish()
		if rand.IntN(2) == 0 {
			return second, again // which says that somebody else was faster
		}
		return first, err
	case isLate:
		late(ctx)
		defer late(ctx)
	}
	return publish()
}

func (f *faults) CreateOrUpdateStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := f.JetStream.CreateOrUpdateStream(ctx, c)
	return &faultyStream{s, f}, err
}

type faultyStream struct {
	jetstream.Stream
	f *faults
}

func (s *faultyStream) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	switch s.f.draw() {
	case isDown, isLost:
		return nil, errFault
	case isLate:
		late(ctx)
		defer late(ctx)
	}
	return s.Stream.GetLastMsgForSubject(ctx, subject)
}

// faulty returns two nodes whose store misbehaves from now on, and a function
// that ends this and begins anew with one node.
func faulty(t *testing.T) (a, b *State, restart func() *State) {
	t.Helper()
	e := startEngine(t)
	f := &faults{JetStream: e.js}
	f.off.Store(true)
	nodes := make([]*State, 2)
	for i := range nodes {
		var err error
		if nodes[i], err = e.open(f, StateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.off.Store(false)
	return nodes[0], nodes[1], func() *State {
		t.Helper()
		f.off.Store(true)
		for kind, what := range []string{isLate: "late", isTwice: "twice", isLost: "lost", isDown: "down"} {
			if n := f.n[kind].Load(); n == 0 {
				t.Errorf("the store was never %s: the test does not do what it says", what)
			}
		}
		e.restart()
		return e.state(StateOptions{})
	}
}

// No ticket is accepted twice, whatever the store does, and each that was handed
// out is stored.
func TestIssuerWithAFaultyStore(t *testing.T) {
	bothForms(t, func(t *testing.T, signed bool) {
		a, b, restart := faulty(t)
		o := ticket.Options{Signed: signed, PerSubject: -1}
		nodes := []*ticket.Issuer{issuer(t, a, o), issuer(t, b, o)}
		type minted struct {
			value    string
			accepted atomic.Int32
			doubtful atomic.Bool // an answer was lost, so it may be used up
		}
		var all []*minted
		for i := range 120 {
			m, err := nodes[i%2].Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "alice"}})
			if err == nil {
				all = append(all, &minted{value: m.Value})
			} else if !isUnavailable(err) && !errors.Is(err, ticket.Used) {
				t.Fatal(err)
			}
		}
		var group sync.WaitGroup
		for i, m := range all[:len(all)/2] {
			for j := range 3 {
				group.Go(func() {
					p, err := nodes[(i+j)%2].Consume(t.Context(), m.value, "")
					var rejected *ticket.Error
					switch {
					case err == nil && p.Name == "alice":
						m.accepted.Add(1)
					case isUnavailable(err):
						m.doubtful.Store(true)
					case !errors.As(err, &rejected) || rejected.Cause != ticket.Used:
						t.Errorf("%v, %v", p, err)
					}
				})
			}
		}
		testkit.Wait(t, &group)
		next := issuer(t, restart(), o)
		for i, m := range all {
			if got := consumed(t, next, m.value); got == "alice" {
				m.accepted.Add(1)
			} else if got != "used before" {
				t.Errorf("ticket %d: %s", i, got)
			}
			if got := consumed(t, next, m.value); got != "used before" {
				t.Errorf("ticket %d, once more: %s", i, got)
			}
			tried := i < len(all)/2
			if n := m.accepted.Load(); n > 1 || n == 0 && !tried {
				t.Errorf("ticket %d was accepted %d times, tried before: %v", i, n, tried)
			}
		}
	})
}

// What is confirmed is stored, and what is not is in force where it was decided.
func TestRevocationsWithAFaultyStore(t *testing.T) {
	a, b, restart := faulty(t)
	var mu sync.Mutex
	confirmed := map[string]uint64{} // the least epoch that the next process must know
	var group sync.WaitGroup
	issued := time.Now().Add(-time.Minute)
	for i := range 80 {
		v := []*State{a, b}[i%2].Revocations()
		group.Go(func() {
			name := fmt.Sprint("u", i%20)
			before := v.Epoch(name)
			err := v.Revoke(t.Context(), auth.Revocation{User: name})
			p := &auth.Principal{Name: name, Issued: issued}
			switch {
			case err != nil && !errors.Is(err, auth.ErrNotKept):
				t.Error(err)
			case !v.Revoked(p) || !v.Outdated(name, before):
				t.Errorf("%s is not revoked here after %v", name, err)
			case err == nil:
				mu.Lock()
				confirmed[name] = max(confirmed[name], v.Epoch(name))
				mu.Unlock()
			}
			credential := fmt.Sprint("c", i)
			if err = v.Revoke(t.Context(), auth.Revocation{Credential: credential}); err == nil {
				mu.Lock()
				confirmed[credential] = 0
				mu.Unlock()
			}
			if !v.Revoked(&auth.Principal{CredentialID: credential}) {
				t.Errorf("%s is not revoked here after %v", credential, err)
			}
		})
	}
	testkit.Wait(t, &group)
	next := restart().Revocations()
	if len(confirmed) < 50 {
		t.Errorf("only %d are confirmed", len(confirmed))
	}
	for name, epoch := range confirmed {
		if !next.Revoked(&auth.Principal{Name: name, Issued: issued, CredentialID: name}) || next.Epoch(name) < epoch {
			t.Errorf("%s was confirmed and is not revoked in the next process", name)
		}
	}
}

// Two nodes report different results at once. One is final: it is the only one
// that is ever confirmed, and it is stored.
func TestFlowWithAFaultyStore(t *testing.T) {
	a, b, restart := faulty(t)
	var flows []*webflow.Flow
	for _, s := range []*State{a, b} {
		flow, err := webflow.New(brokertest.New(t, broker.Options{}), webflow.Options{Store: s.Operations()})
		if err != nil {
			t.Fatal(err)
		}
		defer flow.Close()
		flows = append(flows, flow)
	}
	// again repeats what the store did not answer, as a program does.
	again := func(do func() error) error {
		for {
			err := do()
			if !errors.Is(err, webflow.ErrUnavailable) || t.Context().Err() != nil {
				return err
			}
		}
	}
	results := make([]string, 40)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			id := fmt.Sprint("op-", i)
			o := webflow.Operation{ID: id, Owner: webflow.Owner{User: "alice"}, TTL: time.Hour}
			if i%2 == 0 {
				o.WebSocketID = "ws-" + id
			}
			if err := again(func() error { _, err := flows[i%2].Open(t.Context(), o); return err }); err != nil {
				t.Errorf("%s: %v", id, err)
				return
			}
			var mu sync.Mutex
			var both sync.WaitGroup
			for j, result := range []string{"CONFIRMED", "CANCELED"} {
				both.Go(func() {
					err := again(func() error { _, err := flows[j].Notify(t.Context(), id, result); return err })
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil && results[i] == "":
						results[i] = result
					case err == nil:
						t.Errorf("%s: both results are confirmed", id)
					case !errors.Is(err, webflow.ErrDecided):
						t.Errorf("%s: %v", id, err)
					}
				})
			}
			both.Wait()
		})
	}
	testkit.Wait(t, &group)
	for _, f := range flows {
		_ = f.Close()
	}
	flow, err := webflow.New(brokertest.New(t, broker.Options{}), webflow.Options{Store: restart().Operations()})
	if err != nil {
		t.Fatal(err)
	}
	defer flow.Close()
	for i, result := range results {
		info, err := flow.Lookup(t.Context(), fmt.Sprint("op-", i))
		if err != nil || info.Result != result || result == "" || !info.Terminal {
			t.Errorf("op-%d: %+v, %v, want %s", i, info, err, result)
		}
	}
}

// provider is a provider without OpenID Connect.
type provider struct{}

func (provider) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := map[string]any{"access_token": "access", "token_type": "Bearer", "refresh_token": "refresh", "expires_in": 3600}
	if r.URL.Path == "/userinfo" {
		answer = map[string]any{"sub": "alice"}
	}
	body, err := json.Marshal(answer)
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(body))),
	}, err
}

func loginClient(t testing.TB, s *State) *oauth.Client {
	t.Helper()
	tokens, err := oauth.NewRecordTokens(s.Records(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := oauth.New(oauth.Options{
		Providers: []oauth.Provider{{
			Name: "p", AuthURL: "https://p.example/auth", TokenURL: "https://p.example/token", UserInfoURL: "https://p.example/userinfo",
			ClientID: "id", ClientSecret: "secret", RedirectURL: "https://app.example/oauth/callback",
		}},
		Transport: provider{}, Records: s.Records(), Store: tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ask makes a request with these cookies and returns the answer's status, its
// cookies and its location.
func ask(c *oauth.Client, method, target string, cookies []*http.Cookie) (int, []*http.Cookie, *url.URL) {
	r := httptest.NewRequest(method, "https://app.example"+target, nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://app.example")
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, r)
	resp := w.Result()
	to, _ := resp.Location()
	return resp.StatusCode, resp.Cookies(), to
}

func whoIs(c *oauth.Client, cookies []*http.Cookie) string {
	r := httptest.NewRequest(http.MethodGet, "https://app.example/", nil)
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	p, ok := c.Session(r)
	if !ok {
		return ""
	}
	return p.Name
}

// signIn signs in at the nodes, until the faults let it, and returns the cookies.
// Four requests at once use each state, of which at most one may win.
func signIn(t *testing.T, nodes []*oauth.Client, first int) []*http.Cookie {
	for range 1000 { // a login fails nine times in ten
		status, login, to := ask(nodes[first], http.MethodGet, "/oauth/login", nil)
		if status != http.StatusFound {
			if status != http.StatusServiceUnavailable {
				t.Errorf("login: %d", status)
				return nil
			}
			continue
		}
		target := "/oauth/callback?" + url.Values{"code": {"c"}, "state": {to.Query().Get("state")}}.Encode()
		var mu sync.Mutex
		var signedIn []*http.Cookie
		won := 0
		var all sync.WaitGroup
		for j := range 4 {
			all.Go(func() {
				status, cookies, _ := ask(nodes[j%2], http.MethodGet, target, login)
				mu.Lock()
				defer mu.Unlock()
				switch status {
				case http.StatusSeeOther:
					won++
					signedIn = cookies
				case http.StatusBadRequest, http.StatusServiceUnavailable, http.StatusInternalServerError:
				default:
					t.Errorf("callback: %d", status)
				}
			})
		}
		all.Wait()
		if won > 1 {
			t.Errorf("one state has signed in %d times", won)
		}
		if won > 0 {
			return signedIn
		}
	}
	t.Error("1000 logins failed")
	return nil
}

// One state signs in once. Who is signed in is so after a restart, and whose
// logout was confirmed is not.
func TestLoginsWithAFaultyStore(t *testing.T) {
	a, b, restart := faulty(t)
	nodes := []*oauth.Client{loginClient(t, a), loginClient(t, b)}
	var mu sync.Mutex
	var stay, left [][]*http.Cookie
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			signedIn := signIn(t, nodes, i%2)
			if signedIn == nil {
				return
			}
			if i%2 == 0 {
				mu.Lock()
				defer mu.Unlock()
				stay = append(stay, signedIn)
				return
			}
			for status := 0; status != http.StatusSeeOther && t.Context().Err() == nil; {
				if status, _, _ = ask(nodes[0], http.MethodPost, "/oauth/logout", signedIn); status != http.StatusSeeOther && status != http.StatusServiceUnavailable {
					t.Errorf("logout: %d", status)
					return
				}
				if got := whoIs(nodes[0], signedIn); got != "" {
					t.Errorf("%s is signed in after a logout with %d", got, status)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			left = append(left, signedIn)
		})
	}
	testkit.Wait(t, &group)
	for _, c := range nodes {
		c.Close()
	}
	next := loginClient(t, restart())
	if len(stay) != 5 || len(left) != 5 {
		t.Fatalf("%d stay and %d have left, want 5 of each", len(stay), len(left))
	}
	for _, cookies := range stay {
		if got := whoIs(next, cookies); got != "alice" {
			t.Errorf("the next process knows %q", got)
		}
	}
	for _, cookies := range left {
		if got := whoIs(next, cookies); got != "" {
			t.Errorf("the next process knows %q, whose logout was confirmed", got)
		}
	}
	next.Close()
}
