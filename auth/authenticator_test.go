package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func answer(p *Principal, err error, calls *int) Authenticator {
	return AuthenticatorFunc(func(context.Context, *Attempt) (*Principal, error) {
		*calls++
		return p, err
	})
}

func TestChainFirstThatKnowsDecides(t *testing.T) {
	alice, boom := &Principal{Name: "alice"}, errors.New("backend down")
	refusal := &Refusal{Status: 429}
	var ignored, decided, after int
	notMine := answer(alice, fmt.Errorf("wrapped: %w", ErrNotMine), &ignored)
	for _, c := range []struct {
		name string
		p    *Principal
		err  error
		want *Principal
	}{
		{"principal", alice, nil, alice},
		{"nil and nil denies", nil, nil, nil},
		{"refusal", nil, refusal, nil},
		{"other error", nil, boom, nil},
		{"error with a principal denies", alice, boom, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ignored, decided, after = 0, 0, 0
			chain := Chain(notMine, notMine, answer(c.p, c.err, &decided), answer(alice, nil, &after))
			p, err := chain.Authenticate(t.Context(), &Attempt{})
			if p != c.want || err != c.err {
				t.Errorf("got %v, %v", p, err)
			}
			if ignored != 2 || decided != 1 || after != 0 {
				t.Errorf("called %d, %d, %d times", ignored, decided, after)
			}
		})
	}
	if p, err := Chain(notMine, Chain()).Authenticate(t.Context(), &Attempt{}); p != nil || !errors.Is(err, ErrNotMine) {
		t.Errorf("a chain that knows nothing answers %v, %v", p, err)
	}
}

func TestChainIsACopy(t *testing.T) {
	members := []Authenticator{Chain()}
	c := Chain(members...)
	members[0] = Anonymous
	if _, err := c.Authenticate(t.Context(), &Attempt{Stage: StageConnect}); err != ErrNotMine {
		t.Error("the chain changed with the slice it was made from")
	}
}

func TestChainRejectsNil(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Chain(Anonymous, nil)
}

func TestAnonymousAndTrustLogin(t *testing.T) {
	alice := &Principal{Name: "alice"}
	for _, c := range []struct {
		name      string
		a         Attempt
		anonymous string // the name let in as, or "not mine" or "refused"
		trusted   string
	}{
		{"handshake", Attempt{Stage: StageHandshake}, "not mine", "not mine"},
		{"no stage", Attempt{}, "not mine", "not mine"},
		{"no login", Attempt{Stage: StageConnect}, "", ""},
		{"login", Attempt{Stage: StageConnect, Login: "bob", Passcode: "x"}, "", "bob"},
		{"established", Attempt{Stage: StageConnect, Principal: alice}, "not mine", "not mine"},
		{"established, same login", Attempt{Stage: StageConnect, Principal: alice, Login: "alice"}, "not mine", "not mine"},
		{"N-11 other login", Attempt{Stage: StageConnect, Principal: alice, Login: "bob"}, "not mine", "refused"},
		{"N-11 anonymous becomes named", Attempt{Stage: StageConnect, Principal: &Principal{}, Login: "bob"}, "not mine", "refused"},
		{"line feed", Attempt{Stage: StageConnect, Login: "a\nb"}, "", "refused"},
		{"blank", Attempt{Stage: StageConnect, Login: "  "}, "", "refused"},
	} {
		for who, want := range map[Authenticator]string{Anonymous: c.anonymous, TrustLogin: c.trusted} {
			p, err := who.Authenticate(t.Context(), &c.a)
			var got string
			var refusal *Refusal
			switch {
			case err == ErrNotMine:
				got = "not mine"
			case errors.As(err, &refusal):
				got = "refused"
			case err != nil || p == nil:
				t.Fatalf("%s: %T answered %v, %v", c.name, who, p, err)
			default:
				got = p.Name
			}
			if got != want || err != nil && p != nil {
				t.Errorf("%s: %T answered %q, want %q", c.name, who, got, want)
			}
		}
	}
}

func TestRefusalDefaults(t *testing.T) {
	r := &Refusal{}
	if r.StatusCode() != 401 || r.Error() != "authentication failed" {
		t.Errorf("got %d %q", r.StatusCode(), r)
	}
	r = &Refusal{Status: 503, Reason: "busy"}
	if r.StatusCode() != 503 || r.Error() != "busy" {
		t.Errorf("got %d %q", r.StatusCode(), r)
	}
}

func TestAttemptShowsNoCredential(t *testing.T) {
	a := Attempt{
		Stage: StageConnect, Session: "s1", Ticket: "s3cret", Bearer: "s3cret", Login: "s3cret", Passcode: "s3cret",
		Header:    func(string) string { return "s3cret" },
		Handshake: &Handshake{Header: http.Header{"Cookie": {"s3cret"}}, URL: &url.URL{RawQuery: "s3cret"}},
		Remote:    netip.MustParseAddrPort("192.0.2.1:99"),
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "value", a, "pointer", &a)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", a, "pointer", &a)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&log, format+"\n"+format+"\n", a, &a)
	}
	if strings.Contains(log.String(), "s3cret") || strings.Count(log.String(), "192.0.2.1:99") != 14 {
		t.Errorf("got %s", log.String())
	}
}

func TestEnumsHaveNames(t *testing.T) {
	got := fmt.Sprint(StageHandshake, StageConnect, Stage(9), Subscribe, Send, Action(9), Allow, Deny, Effect(9), None, Some, All, Coverage(9))
	const want = "handshake connect Stage(9) subscribe send Action(9) allow deny Effect(9) none some all Coverage(9)"
	if got != want {
		t.Errorf("got %s", got)
	}
}
