package oauth

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// process returns a Client as another process has it, with the same records and
// tokens.
func process(t testing.TB, s *standin, m *memoryRecords, change func(*Options)) *Client {
	t.Helper()
	c := newClient(t, s, func(o *Options) {
		o.Records, o.Store = m, recordTokensOf(t, m)
		if change != nil {
			change(o)
		}
	})
	t.Cleanup(c.Close)
	return c
}

// recordTokensOf are the tokens in m, encrypted.
func recordTokensOf(t testing.TB, m *memoryRecords) TokenStore {
	t.Helper()
	s, err := NewRecordTokens(m, bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Tokens are not readable in the records, and not with another key.
func TestTokensInRecordsAreEncrypted(t *testing.T) {
	m := newMemoryRecords()
	k := Key{"alice", "p"}
	if err := recordTokensOf(t, m).Update(t.Context(), k, func(*Token) *Token { return &Token{Access: "planted"} }); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.records {
		if bytes.Contains(r.value, []byte("planted")) {
			t.Errorf("the record is %q", r.value)
		}
	}
	other, err := NewRecordTokens(m, bytes.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := other.Load(t.Context(), k); err != ErrStoreKey || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := NewRecordTokens(m, []byte("short")); err != ErrStoreKey {
		t.Error(err)
	}
}

// at moves a browser to another process.
func (b *browser) at(c *Client) *browser {
	b.client, b.handler = c, c.Handler()
	return b
}

// A login begins in one process and ends in another; a third knows the session
// and the tokens, and so does one that starts later. When it ends in one, it has
// ended in all.
func TestRecordsAreSharedByProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newStandin(), newMemoryRecords()
		first, second, third := process(t, s, m, nil), process(t, s, m, nil), process(t, s, m, nil)
		b := newBrowser(t, first)
		q := b.login("")
		if resp := b.at(second).callback(s, q); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("callback: %d", resp.StatusCode)
		}
		if resp := b.at(first).callback(s, q); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("the same callback again: %d", resp.StatusCode)
		}
		later := process(t, s, m, nil)
		p := b.at(second).principal()
		for name, c := range map[string]*Client{"first": first, "third": third, "later": later} {
			if got := b.at(c).principal(); got.Name != p.Name || got.CredentialID != p.CredentialID || !got.Issued.Equal(p.Issued) || !got.Expires.Equal(p.Expires) {
				t.Errorf("%s: %+v, want %+v", name, got, p)
			}
			if access, err := c.Token(t.Context(), p.Name, "idp"); err != nil || access == "" {
				t.Errorf("%s: token %q, %v", name, access, err)
			}
		}
		if resp := b.at(third).post("/oauth/logout", nil); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("logout: %d", resp.StatusCode)
		}
		for name, c := range map[string]*Client{"first": first, "second": second, "third": third, "later": later, "next": process(t, s, m, nil)} {
			if _, ok, err := c.lookup(t.Context(), digestOf("")); ok || err != nil {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
			if n := len(c.sessions.byID); n != 0 {
				t.Errorf("%s has %d sessions", name, n)
			}
			if _, err := c.Token(t.Context(), p.Name, "idp"); err != ErrNoToken {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Of many callbacks with the same state, in several processes, one signs in.
func TestStateIsGoodOnceForAllProcesses(t *testing.T) {
	s, m := newStandin(), newMemoryRecords()
	all := []*Client{process(t, s, m, nil), process(t, s, m, nil), process(t, s, m, nil)}
	for range 20 {
		b := newBrowser(t, all[0])
		q := b.login("")
		s.set(func(s *standin) { s.nonce = q.Get("nonce") })
		target := "/oauth/callback?" + url.Values{"code": {"code-1"}, "state": {q.Get("state")}}.Encode()
		var group sync.WaitGroup
		status := make([]int, 9)
		for i := range status {
			one := newBrowser(t, all[i%len(all)])
			for name, value := range b.cookies {
				one.cookies[name] = value
			}
			group.Go(func() { status[i] = one.get(target).StatusCode })
		}
		testkit.Wait(t, &group)
		won := 0
		for _, code := range status {
			switch code {
			case http.StatusSeeOther:
				won++
			case http.StatusBadRequest:
			default:
				t.Errorf("status %d", code)
			}
		}
		if won != 1 {
			t.Fatalf("%d callbacks have signed in", won)
		}
	}
}

// The records fail, or do what they were asked and do not say so, in each
// operation. Nobody is signed in twice with one state, what is confirmed is
// stored, and what has ended does not come back in this process.
func TestRecordsThatFail(t *testing.T) {
	for _, kind := range []string{kindLogin, kindSession, kindToken} {
		for _, op := range []string{"create", "get", "update", "remove"} {
			for _, lost := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) { testRecordsThatFail(t, op, kind, lost) })
			}
		}
	}
}

func testRecordsThatFail(t *testing.T, op, kind string, lost bool) {
	name := op + " of " + kind
	s, m := newStandin(), newMemoryRecords()
	var ended logouts
	c := process(t, s, m, func(o *Options) { o.OnLogout = ended.record })
	next := func() *Client { return process(t, s, m, nil) }
	fail := func(o, k string) error {
		if o == op && k == kind {
			return errRecords
		}
		return nil
	}
	broken := func(do func()) {
		if lost {
			m.set(nil, fail)
		} else {
			m.set(fail, nil)
		}
		do()
		m.set(nil, nil)
	}
	b := newBrowser(t, c)

	var q url.Values
	broken(func() {
		if resp := b.get("/oauth/login"); resp.StatusCode == http.StatusFound {
			u, _ := resp.Location()
			q = u.Query()
		} else if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: login %d", name, resp.StatusCode)
		}
	})
	if q == nil {
		q = b.login("")
	}
	signed := 0
	broken(func() {
		switch resp := b.callback(s, q); resp.StatusCode {
		case http.StatusSeeOther:
			signed++
			if kind == kindLogin && op != "update" && op != "create" {
				t.Errorf("%s: a login that may be used up was accepted", name)
			}
		case http.StatusServiceUnavailable, http.StatusInternalServerError:
			if b.sessionCookie() != "" || b.signedIn() != "" {
				t.Errorf("%s: signed in all the same", name)
			}
		default:
			t.Errorf("%s: callback %d", name, resp.StatusCode)
		}
	})
	if resp := b.callback(s, q); resp.StatusCode == http.StatusSeeOther {
		signed++
	}
	if signed > 1 {
		t.Errorf("%s: one state has signed in %d times", name, signed)
	}
	if b.sessionCookie() == "" {
		b.signIn(s)
	}
	p := b.principal()
	if got := newBrowserLike(t, b, next()).principal(); got.CredentialID != p.CredentialID {
		t.Errorf("%s: the next process has another session", name)
	}
	ended.take()
	cookie := b.sessionCookie()
	broken(func() {
		resp := b.post("/oauth/logout", nil)
		b.cookies[c.cookies.session.Name] = cookie
		switch resp.StatusCode {
		case http.StatusSeeOther:
			m.mu.Lock()
			_, kept := m.records[recordName(kindSession, digestOf(cookie).name())]
			m.mu.Unlock()
			if kept {
				t.Errorf("%s: the logout is confirmed, and the session is stored", name)
			}
		case http.StatusServiceUnavailable:
			if len(ended.take()) != 1 {
				t.Errorf("%s: the sockets are not closed", name)
			}
		default:
			t.Errorf("%s: logout %d", name, resp.StatusCode)
		}
	})
	if user := b.signedIn(); user != "" {
		t.Errorf("%s: %s is still signed in here", name, user)
	}
	if resp := b.post("/oauth/logout", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("%s: logout again: %d", name, resp.StatusCode)
	}
	b.cookies[c.cookies.session.Name] = cookie
	if user := newBrowserLike(t, b, next()).signedIn(); user != "" {
		t.Errorf("%s: %s is signed in in the next process", name, user)
	}
}

// newBrowserLike is the same browser at another process.
func newBrowserLike(t testing.TB, b *browser, c *Client) *browser {
	other := newBrowser(t, c)
	for name, value := range b.cookies {
		other.cookies[name] = value
	}
	return other
}

// OnLogout fails: the session has ended, and that is not confirmed.
func TestLogoutThatIsNotConfirmed(t *testing.T) {
	s := newStandin()
	failing := errRecords
	_, b := signedIn(t, s, func(o *Options) { o.OnLogout = func(string, string) error { return failing } })
	cookie := b.sessionCookie()
	if resp := b.post("/oauth/logout", nil); resp.StatusCode != http.StatusServiceUnavailable || b.sessionCookie() != cookie {
		t.Errorf("%d, cookie %q", resp.StatusCode, b.sessionCookie())
	}
	if user := b.signedIn(); user != "" {
		t.Errorf("%s is signed in", user)
	}
}

// A use of a session is written now and then, so that the next process does not
// end it too early. A session that has ended is not brought back by that.
func TestUseOfASessionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newStandin(), newMemoryRecords()
		c := process(t, s, m, func(o *Options) { o.SessionIdle = time.Hour })
		b := newBrowser(t, c)
		b.signIn(s)
		writes := 0
		m.set(nil, func(op, kind string) error {
			if op == "update" && kind == kindSession {
				writes++
			}
			return nil
		})
		for range 90 {
			time.Sleep(time.Minute)
			b.principal()
			synctest.Wait()
		}
		if writes < 10 || writes > 12 {
			t.Errorf("%d writes in 90 minutes", writes)
		}
		p, next := b.principal(), process(t, s, m, func(o *Options) { o.SessionIdle = time.Hour })
		got := newBrowserLike(t, b, next).principal()
		if d := p.Expires.Sub(got.Expires); d < 0 || d > time.Hour/8 {
			t.Errorf("the next process ends it %v earlier", d)
		}
		// Each of the two may write when the other removes it.
		time.Sleep(10 * time.Minute)
		b.principal()
		cookie := b.sessionCookie()
		b.at(next).post("/oauth/logout", nil)
		synctest.Wait()
		b.cookies[c.cookies.session.Name] = cookie
		for _, c := range []*Client{c, next} {
			if user := b.at(c).signedIn(); user != "" {
				t.Errorf("%s is signed in", user)
			}
		}
	})
}

// A logout at the provider, told to one process, ends a login that another one
// completes, and is known to the next.
func TestBackchannelLogoutIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newStandin(), newMemoryRecords()
		first, second := process(t, s, m, nil), process(t, s, m, nil)
		b := newBrowser(t, first)
		b.signIn(s)
		cookie := b.sessionCookie()
		token := s.logoutToken(nil)
		m.set(func(op, kind string) error {
			if op == "remove" && kind == kindSession {
				return errRecords
			}
			return nil
		}, nil)
		if resp := tell(b.at(second), token); resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("a logout that is not stored: %d", resp.StatusCode)
		}
		m.set(nil, nil)
		b.cookies[first.cookies.session.Name] = cookie
		if user := b.at(second).signedIn(); user != "" {
			t.Errorf("%s is signed in where the logout was told", user)
		}
		if n := len(process(t, s, m, nil).sessions.logouts.entries); n != 1 {
			t.Errorf("the next process knows of %d logouts", n)
		}
	})
}

// The tokens of a file move into the records once.
func TestMoveTokens(t *testing.T) {
	m := newMemoryRecords()
	to := recordTokensOf(t, m)
	file, err := OpenFileStore(filepath.Join(t.TempDir(), "tokens"), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	put := func(s TokenStore, user, access string) {
		t.Helper()
		if err := s.Update(t.Context(), Key{user, "main"}, func(*Token) *Token { return &Token{Access: access, Refresh: "r"} }); err != nil {
			t.Fatal(err)
		}
	}
	put(file, "alice", "old")
	put(file, "bob", "old")
	put(to, "bob", "new")
	for _, want := range []int{1, 0} {
		if n, err := MoveTokens(t.Context(), file, to); n != want || err != nil {
			t.Errorf("moved %d, %v", n, err)
		}
	}
	for user, want := range map[string]string{"alice": "old", "bob": "new"} {
		if got, err := to.Load(t.Context(), Key{user, "main"}); err != nil || got.Access != want {
			t.Errorf("%s: %v, %v", user, got, err)
		}
	}
	keys, err := to.(TokenLister).Keys(t.Context())
	if err != nil || len(keys) != 2 || keys[0] == keys[1] {
		t.Errorf("%v, %v", keys, err)
	}
	if err := to.Update(t.Context(), Key{"bob", "main"}, func(*Token) *Token { return nil }); err != nil {
		t.Error(err)
	}
	if _, err := to.Load(t.Context(), Key{"bob", "main"}); err != ErrNoToken {
		t.Error(err)
	}
}

// New needs the records: without them it would know no session.
func TestNewNeedsTheRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemoryRecords()
		m.set(func(op, _ string) error {
			if op == "watch" {
				return errRecords
			}
			return nil
		}, nil)
		o := Options{Providers: []Provider{oidcProvider()}, Records: m}
		if _, err := New(o); !errors.Is(err, errRecords) {
			t.Error(err)
		}
	})
}
