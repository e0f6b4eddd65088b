package admission

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
	"github.com/hoofbeat/hoofbeat/topics"
)

var client = netip.MustParseAddrPort("192.0.2.1:4711")

// roomy are limits that no test reaches.
var roomy = Limits{
	Unauthenticated: 100, UnauthenticatedPerAddress: 100, Sessions: 100, SessionsPerUser: 100, SessionsPerAddress: 100,
	LoginFailures: 100, AddressFailures: 100,
}

// newGate returns a gate with a deadline of 1 s at which credentials of "gone"
// are revoked.
func newGate(a auth.Authenticator, l Limits) *Gate {
	names, err := topics.NewNames(topics.Prefixes{})
	if err != nil {
		panic(err)
	}
	g := New(Config{
		Authenticator: a, Names: names, Users: topics.NewRouter[*int](),
		Revoked:  func(p *auth.Principal) bool { return p.Name == "gone" },
		Panicked: func(string, *hook.Panic) {}, ConnectDeadline: time.Second,
		FailureWait: time.Minute, FailureDecay: time.Minute,
	})
	g.SetLimits(l)
	return g
}

// answers returns an authenticator that always returns the same.
func answers(p *auth.Principal, err error) auth.Authenticator {
	return auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) { return p, err })
}

// ofAnn is an error that names the owner of a credential.
type ofAnn struct{ error }

func (ofAnn) Whose() string { return "ann" }

// check compares a rejection, nil for none, with what is expected of it: the
// texts for the log and for the client, who it is about, and the flags.
func check(t *testing.T, no *Rejection, why, answer, login, user, flags string) {
	t.Helper()
	if no == nil {
		if answer != "" {
			t.Errorf("the client is admitted, want %q", answer)
		}
		return
	}
	got := make([]string, 0, 3)
	for name, set := range map[string]bool{"failed": no.Failed, "late": no.Late, "revoked": no.Revoked} {
		if set {
			got = append(got, name)
		}
	}
	if no.Why != why || no.Refusal().Error() != answer || no.Login != login || no.User != user || strings.Join(got, " ") != flags {
		t.Errorf("rejected because of %q with %q, login %q, user %q, %v", no.Why, no.Refusal(), no.Login, no.User, got)
		t.Errorf("want %q with %q, login %q, user %q, %s", why, answer, login, user, flags)
	}
}

func TestHandshakeRejections(t *testing.T) {
	const inURL = "an access token was sent in the URL, as access_token: its place is the Authorization header of the handshake or of CONNECT; a browser exchanges it for a ticket first"
	ann := &auth.Principal{Name: "ann"}
	for name, tc := range map[string]struct {
		target, authorization          string
		authenticator                  auth.Authenticator
		why, answer, login, user, flag string
		status                         int
	}{
		"admitted":            {"/", "", answers(ann, nil), "", "", "", "", "", 0},
		"CONNECT decides":     {"/", "", answers(nil, auth.ErrNotMine), "", "", "", "", "", 0},
		"token in the URL":    {"/?access_token=a", "", answers(ann, nil), inURL, "an access token must not be in the URL", "", "", "", 400},
		"no token":            {"/", "Bearer", answers(ann, nil), "the request needs one Authorization header, with a token", "the request needs one Authorization header, with a token", "", "", "failed", 401},
		"no authenticator":    {"/", "Basic YW5uOng=", nil, "there is no authenticator", "authentication failed", "ann", "", "", 401},
		"refused":             {"/?ticket=t", "", answers(nil, &auth.Refusal{Status: 403, Reason: "no"}), "no", "no", "", "", "failed", 403},
		"another error":       {"/", "Basic YW5uOng=", answers(nil, ofAnn{errors.New("it broke")}), "it broke", "authentication failed", "ann", "ann", "failed", 401},
		"no principal":        {"/", "", answers(nil, nil), "no principal", "authentication failed", "", "", "failed", 401},
		"a name that is none": {"/", "", answers(&auth.Principal{Name: "a\nb"}, nil), "no principal", "authentication failed", "", "", "failed", 401},
		"revoked":             {"/", "", answers(&auth.Principal{Name: "gone"}, nil), "the credential was revoked", "the credential was revoked", "", "gone", "revoked", 401},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(tc.authenticator, roomy)
			r := httptest.NewRequest(http.MethodGet, tc.target, nil)
			if tc.authorization != "" {
				r.Header.Set("Authorization", tc.authorization)
			}
			e, no := g.Handshake(r, client)
			check(t, no, tc.why, tc.answer, tc.login, tc.user, tc.flag)
			if no != nil && no.Refusal().StatusCode() != tc.status {
				t.Errorf("the status is %d, want %d", no.Refusal().StatusCode(), tc.status)
			}
			if all, _ := g.Places(); all != 0 != (no == nil) {
				t.Errorf("%d places are taken", all)
			}
			e.Leave()
			e.Leave() // twice does nothing
			if all, networks := g.Places(); all != 0 || networks != 0 {
				t.Errorf("%d places of %d networks are taken after the end", all, networks)
			}
		})
	}
}

// asking is the session of a test.
type asking struct {
	asked  int
	asking bool
}

func (*asking) Left() time.Duration { return time.Second }
func (a *asking) StartAsk()         { a.asked, a.asking = a.asked+1, true }
func (a *asking) EndAsk()           { a.asking = false }

func TestConnectDecisions(t *testing.T) {
	const another = "the credential belongs to another user than the one this connection was opened for"
	const otherLogin = "the login names another user than the one this connection was opened for"
	const late = "not decided within 1s (limits.connect_deadline): context deadline exceeded"
	ann, expired := &auth.Principal{Name: "ann"}, &auth.Principal{Name: "ann", Expires: time.Unix(1, 0)}
	slow := auth.AuthenticatorFunc(func(ctx context.Context, _ *auth.Attempt) (*auth.Principal, error) {
		<-ctx.Done()
		return ann, nil // too late
	})
	for name, tc := range map[string]struct {
		before                         *auth.Principal // of the handshake
		login, passcode, ticket        string
		authenticator                  auth.Authenticator
		why, answer, named, user, flag string
		principal                      *auth.Principal
		byPasscode                     bool
	}{
		"a passcode":            {nil, "ann", "p", "", answers(ann, nil), "", "", "", "", "", ann, true},
		"a ticket":              {nil, "ann", "", "t", answers(ann, nil), "", "", "", "", "", ann, false},
		"of the handshake":      {ann, "", "", "", answers(nil, auth.ErrNotMine), "", "", "", "", "", ann, false},
		"no authenticator":      {nil, "ann", "p", "", nil, "there is no authenticator", "authentication failed", "ann", "", "", nil, false},
		"another login":         {ann, "bob", "p", "", answers(ann, nil), otherLogin, otherLogin, "bob", "ann", "failed", nil, false},
		"another user":          {ann, "", "", "t", answers(&auth.Principal{Name: "bob"}, nil), another, another, "", "", "failed", nil, false},
		"expired":               {nil, "", "", "t", answers(expired, nil), "the credential has expired", "the credential has expired", "", "", "failed", nil, false},
		"another user, expired": {&auth.Principal{Name: "bob"}, "", "", "t", answers(expired, nil), another, another, "", "", "failed", nil, false},
		"revoked":               {nil, "gone", "p", "", answers(&auth.Principal{Name: "gone"}, nil), "the credential was revoked", "the credential was revoked", "", "gone", "revoked", nil, false},
		"no principal":          {nil, "ann", "p", "", answers(nil, nil), "no principal", "authentication failed", "ann", "", "failed", nil, false},
		"an error":              {nil, "ann", "p", "", answers(nil, ofAnn{errors.New("it broke")}), "it broke", "authentication failed", "ann", "ann", "failed", nil, false},
		"nobody knows a ticket": {nil, "", "", "t", answers(nil, auth.ErrNotMine), "authentication failed: this broker accepts no credential of this kind: a ticket", "authentication failed: this broker accepts no credential of this kind: a ticket", "", "", "failed", nil, false},
		"late":                  {nil, "ann", "p", "", slow, late, "authentication failed", "ann", "", "late", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(tc.authenticator, roomy)
				e := Entry{Principal: tc.before}
				s := new(asking)
				no := g.Connect(t.Context(), s, &e, &auth.Attempt{
					Stage: auth.StageConnect, Principal: tc.before, Login: tc.login, Passcode: tc.passcode, Ticket: tc.ticket,
					Header: func(string) string { return "" }, Remote: client,
				})
				check(t, no, tc.why, tc.answer, tc.named, tc.user, tc.flag)
				if no == nil && (e.Principal != tc.principal || e.Passcode != tc.byPasscode) {
					t.Errorf("the client is %v, by passcode: %v", e.Principal, e.Passcode)
				}
				if want := tc.authenticator != nil && tc.named != "bob"; s.asking || s.asked == 1 != want {
					t.Errorf("the authenticator was asked %d times, and the session still asks: %v", s.asked, s.asking)
				}
				if e.Principal != tc.before && no != nil {
					t.Errorf("a rejected client is %v", e.Principal)
				}
				for k, f := range g.throttle.keys {
					if f.flying != 0 {
						t.Errorf("an attempt of kind %d has not ended", k.kind)
					}
				}
			})
		})
	}
}

// A login that has failed too often is answered with the limit, at the handshake
// instead of the refusal. CONNECT answers every attempt that was decided alike.
func TestLimitsComeBeforeRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := roomy
		limits.LoginFailures = 1
		g := newGate(answers(nil, &auth.Refusal{Reason: "wrong"}), limits)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth("ann", "x")
		_, no := g.Handshake(r, client)
		check(t, no, "wrong", "wrong", "ann", "", "failed")
		_, no = g.Handshake(r, client) // wait begins
		check(t, no, "wrong", "too many failed attempts, try again later: limits.login_failures is 1", "ann", "", "failed")
		if no.Limit == nil || no.Limit.After != time.Second {
			t.Errorf("the limit is %+v", no.Limit)
		}
		s := new(asking)
		no = g.Connect(t.Context(), s, new(Entry), &auth.Attempt{Login: "ann", Passcode: "x", Remote: client})
		check(t, no, "", "too many failed attempts, try again later: limits.login_failures is 1", "ann", "", "")
		if s.asked != 0 {
			t.Error("the authenticator was asked")
		}
	})
}

// occupant is a session for the caps.
type occupant struct {
	waits bool
	shed  []string
}

func (o *occupant) Waiting() bool          { return o.waits }
func (o *occupant) Shed(e *limit.Exceeded) { o.shed = append(o.shed, e.Error()) }

// At the limit the oldest connection is shed that waits for its client, has a
// session and is old enough. If there is none, the newcomer is refused.
func TestOldestWaitingIsShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := roomy
		limits.Unauthenticated = 3
		g := newGate(auth.Anonymous, limits)
		asked, old, young := &occupant{}, &occupant{waits: true}, &occupant{waits: true}
		enter := func(o Occupant) *limit.Exceeded {
			e, reached := g.Enter(client)
			if reached == nil && o != nil {
				e.Occupy(o)
			}
			return reached
		}
		for _, o := range []Occupant{nil, asked, old} { // nil has no session yet
			if reached := enter(o); reached != nil {
				t.Fatal(reached)
			}
		}
		const text = "too many unauthenticated connections: limits.unauthenticated is 3"
		if reached := enter(young); reached == nil || reached.Error() != text {
			t.Errorf("at once: %v", reached)
		}
		<-time.After(minAge)
		if reached := enter(young); reached != nil {
			t.Errorf("later: %v", reached)
		}
		if len(asked.shed) != 0 || len(old.shed) != 1 || old.shed[0] != text || len(young.shed) != 0 {
			t.Errorf("shed are %q, %q and %q", asked.shed, old.shed, young.shed)
		}
		if reached := enter(nil); reached == nil {
			t.Error("there is a place, though nobody may be shed")
		}
		if all, _ := g.Places(); all != 3 {
			t.Errorf("%d places are taken", all)
		}
	})
}
