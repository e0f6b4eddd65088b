package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func introspector(t testing.TB, s *server, change func(*Options)) (*Verifier, *testClock) {
	t.Helper()
	clock := &testClock{}
	o := Options{
		Introspection: []Introspection{{URL: s.URL, ClientID: "broker", ClientSecret: "secret"}},
		Client:        s.Client(), Clock: clock.now,
	}
	if change != nil {
		change(&o)
	}
	return newVerifier(t, o), clock
}

// active reports every token as active, with the given further members.
func active(members string) http.HandlerFunc {
	return text(`{"active":true,"sub":"alice","scope":"sensor-data"` + members + `}`)
}

func TestA21Request(t *testing.T) {
	requests := make(chan *http.Request, 1)
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // the assertions below show what came of it
		requests <- r
		active(`,"iat":1799999990,"roles":["service"]`)(w, r)
	})
	v, _ := introspector(t, srv, func(o *Options) {
		o.Introspection[0].ClientID, o.Introspection[0].ClientSecret = "a:b", "ä&%"
	})
	p := accept(t, v, "abc+/=")
	got := testkit.Receive(t, requests)
	id, secret, _ := got.BasicAuth()
	if got.Method != http.MethodPost || got.URL.RawQuery != "" || id != url.QueryEscape("a:b") || secret != url.QueryEscape("ä&%") ||
		!reflect.DeepEqual(got.PostForm, url.Values{"token": {"abc+/="}, "token_type_hint": {"access_token"}}) {
		t.Errorf("%s %s %v", got.Method, got.URL, got.PostForm)
	}
	if p.Name != "alice" || !p.HasRole("service") || !p.HasScope("sensor-data") || !p.Expires.IsZero() ||
		!p.Issued.Equal(time.Unix(1799999990, 0)) || p.CredentialID != fmt.Sprintf("sha256:%x", digestOf("abc+/="))[:7+32] {
		t.Errorf("%+v", p)
	}
}

func TestA21GoodAnswersLastHalfAMinute(t *testing.T) {
	srv := newServer(t, active(fmt.Sprintf(`,"exp":%d`, epoch.Unix()+600)))
	v, clock := introspector(t, srv, nil)
	accept(t, v, "abcdef")
	clock.advance(goodFor - 1)
	srv.answer(text(`{"active":false}`)) // revoked
	p := accept(t, v, "abcdef")
	if !p.Expires.Equal(epoch.Add(600*time.Second + Skew)) {
		t.Errorf("expires %v", p.Expires)
	}
	srv.asked(t, 1)
	clock.advance(1)
	refuse(t, v, "abcdef", errInactive)
	srv.asked(t, 1)
}

func TestA21GoodAnswersLastUntilExp(t *testing.T) {
	srv := newServer(t, active(fmt.Sprintf(`,"exp":%d`, epoch.Unix()+10)))
	v, clock := introspector(t, srv, nil)
	accept(t, v, "abcdef")
	clock.advance(10*time.Second - 1)
	accept(t, v, "abcdef")
	srv.asked(t, 1)
	clock.advance(1) // from here on the server's clock decides, as long as ours agrees
	accept(t, v, "abcdef")
	accept(t, v, "abcdef")
	srv.asked(t, 2)
	clock.advance(Skew)
	refuse(t, v, "abcdef", errExpired)
}

func TestA21BadAnswersLastFiveSeconds(t *testing.T) {
	srv := newServer(t, text(`{"active":false}`))
	v, clock := introspector(t, srv, nil)
	refuse(t, v, "abcdef", errInactive)
	clock.advance(badFor - 1)
	srv.answer(active(""))
	refuse(t, v, "abcdef", errInactive)
	srv.asked(t, 1)
	clock.advance(1)
	accept(t, v, "abcdef")
	accept(t, v, "another")
	srv.asked(t, 2)
}

func TestA21FaultsAreNeitherYesNorNo(t *testing.T) {
	cases := map[string]http.HandlerFunc{
		"no active":       text(`{"sub":"alice"}`),
		"active text":     text(`{"active":"true","sub":"alice"}`),
		"active number":   text(`{"active":1,"sub":"alice"}`),
		"active null":     text(`{"active":null,"sub":"alice"}`),
		"Active":          text(`{"Active":true,"sub":"alice"}`),
		"our credentials": status(http.StatusUnauthorized),
		"forbidden":       status(http.StatusForbidden),
		"no content":      status(http.StatusNoContent),
		"big":             active(`,"pad":"` + strings.Repeat("x", maxAnswer) + `"`),
		"two objects":     text(`{"active":true,"sub":"alice"}{"active":false}`),
		"created": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusCreated)
			active("")(w, r)
		},
	}
	for name, fault := range faults {
		cases[name] = fault
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, fault)
			v, _ := introspector(t, srv, nil)
			refuse(t, v, "abcdef", ErrUnavailable)
			srv.answer(active("")) // not remembered: the next one asks again
			accept(t, v, "abcdef")
		})
	}
	t.Run("down", func(t *testing.T) {
		srv := newServer(t, active(""))
		srv.URL = nobody
		v, _ := introspector(t, srv, nil)
		refuse(t, v, "abcdef", ErrUnavailable)
	})
}

// A redirect would send the token, and with 307 also the form, to another
// server.
func TestA21RedirectsAreNotFollowed(t *testing.T) {
	other := newServer(t, active(""))
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	v, _ := introspector(t, srv, nil)
	refuse(t, v, "abcdef", ErrUnavailable)
	other.asked(t, 0)
}

func TestA21Claims(t *testing.T) {
	for members, rule := range map[string]error{
		`,"aud":"` + audience + `"`:                             nil,
		`,"aud":["x","` + audience + `"]`:                       nil,
		`,"aud":"x"`:                                            errAudience,
		``:                                                      errAudience,
		`,"aud":"` + audience + `","exp":0`:                     errExpired,
		`,"aud":"` + audience + `","exp":""`:                    errTime,
		`,"aud":"` + audience + `","nbf":2e9`:                   errNotYet,
		`,"aud":"` + audience + `","sub":""`:                    errName,
		`,"aud":"` + audience + `","sub":null`:                  errName,
		`,"aud":"` + audience + `","sub":"a\n"`:                 errName,
		`,"aud":"` + audience + `","cnf":{}`:                    errBound,
		`,"aud":"` + audience + `","token_use":"refresh_token"`: errUse,
		`,"aud":"` + audience + `","typ":"Refresh"`:             errUse,
	} {
		t.Run(members, func(t *testing.T) {
			srv := newServer(t, active(members))
			v, _ := introspector(t, srv, func(o *Options) { o.Introspection[0].Audience = audience })
			for range 2 {
				if rule == nil {
					accept(t, v, "abcdef")
				} else {
					refuse(t, v, "abcdef", rule)
				}
			}
			srv.asked(t, 1)
		})
	}
}

func TestA21ParallelQuestionsAreOne(t *testing.T) {
	release := make(chan struct{})
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		testkit.Hold(t, release)
		active("")(w, r)
	})
	v, _ := introspector(t, srv, nil)
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, "abcdef")
		first <- err
	}()
	eventually(t, "a request", func() bool { return srv.requests.Load() == 1 })
	var group sync.WaitGroup
	var good atomic.Int64
	for range 100 {
		group.Go(func() {
			if p, err := v.Verify(context.Background(), "abcdef"); err == nil && p.Name == "alice" {
				good.Add(1)
			}
		})
	}
	cancel() // the one who asked gives up, and the others still get their answer
	if err := testkit.Receive(t, first); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("the first got %v", err)
	}
	close(release)
	testkit.Wait(t, &group)
	if good.Load() != 100 {
		t.Errorf("%d of 100", good.Load())
	}
	srv.asked(t, 1)
}

func TestA21QuestionsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		v := newVerifier(t, Options{
			Introspection: []Introspection{{URL: issuerName}},
			Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				n := now.Add(1)
				defer now.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			})},
		})
		began := time.Now()
		var group sync.WaitGroup
		var down atomic.Int64
		for i := range 4 * maxQuestions {
			group.Go(func() {
				ctx := auth.WithRemote(t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 4)}))
				if _, err := v.Verify(ctx, fmt.Sprint("token", i)); errors.Is(err, ErrUnavailable) {
					down.Add(1)
				}
			})
		}
		group.Wait()
		if most.Load() != maxQuestions || down.Load() != 4*maxQuestions || time.Since(began) != callTimeout {
			t.Errorf("%d at once, %d refused, in %v", most.Load(), down.Load(), time.Since(began))
		}
		if n := len(v.endpoints[0].pending); n != 0 {
			t.Errorf("%d questions are left over", n)
		}
	})
}

func TestA21CacheIsBounded(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.PostFormValue("token"), "good") {
			active("")(w, r)
			return
		}
		text(`{"active":false}`)(w, r)
	})
	v, clock := introspector(t, srv, func(o *Options) { o.CacheSize = 10 })
	accept(t, v, "good")
	for i := range 100 { // a flood of bad tokens
		refuse(t, v, fmt.Sprint("bad", i), errInactive)
	}
	srv.asked(t, 101)
	accept(t, v, "good")
	srv.asked(t, 0)
	for i := range 100 {
		accept(t, v, fmt.Sprint("good", i))
	}
	e := v.endpoints[0]
	if len(e.good.entries) != 10 || e.good.order.Len() != 10 || len(e.bad.entries) != 10 || e.bad.order.Len() != 10 {
		t.Errorf("%d good, %d bad", len(e.good.entries), len(e.bad.entries))
	}
	clock.advance(goodFor)
	accept(t, v, "good") // what is over goes without being asked for
	if len(e.good.entries) != 1 {
		t.Errorf("%d good", len(e.good.entries))
	}

	srv.requests.Store(0)
	v, _ = introspector(t, srv, func(o *Options) { o.CacheSize = -1 })
	accept(t, v, "good")
	accept(t, v, "good")
	srv.asked(t, 2)
}

// The first endpoint that reports a token as active decides; a token is invalid
// only if all endpoints say so.
func TestA21SeveralEndpoints(t *testing.T) {
	a, b := newServer(t, nil), newServer(t, nil)
	yes, no, down := active(""), text(`{"active":false}`), status(http.StatusBadGateway)
	for _, test := range []struct {
		name string
		a, b http.HandlerFunc
		rule error
		asks int64 // of b
	}{
		{"yes yes", yes, yes, nil, 0}, {"no yes", no, yes, nil, 1}, {"down yes", down, yes, nil, 1},
		{"no no", no, no, errInactive, 1}, {"down no", down, no, ErrUnavailable, 1}, {"no down", no, down, ErrUnavailable, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			a.answer(test.a)
			b.answer(test.b)
			b.requests.Store(0)
			v := newVerifier(t, Options{Introspection: []Introspection{{URL: a.URL}, {URL: b.URL}}, SharedNames: true})
			if test.rule == nil {
				accept(t, v, "abcdef")
			} else {
				refuse(t, v, "abcdef", test.rule)
			}
			b.asked(t, test.asks)
		})
	}
}

// Only its issuer's keys verify a token of a configured issuer, even if an
// endpoint would accept it.
func TestA21Routing(t *testing.T) {
	s := es256("k")
	keys, srv := newServer(t, keySetOf(t, s.public())), newServer(t, active(""))
	v, _ := introspector(t, srv, func(o *Options) {
		o.SharedNames = true
		o.JWT = []JWT{{Issuer: issuerName, Audience: audience, JWKS: keys.URL, Algorithms: []string{"ES256"}}}
	})
	good := s.sign(t, goodClaims(issuerName), nil)
	accept(t, v, good)
	refuse(t, v, good[:len(good)-4]+"AAAA", errSignature)
	refuse(t, v, s.sign(t, goodClaims(issuerName).with("exp", 1), nil), errExpired)
	srv.asked(t, 0)
	for _, token := range []string{
		s.sign(t, goodClaims("https://another.example.com"), nil), "opaque", "a.b", "a.b.c", "a.b.c.d.e",
	} {
		accept(t, v, token)
		srv.asked(t, 1)
	}
	keys.Close()
	accept(t, v, good) // the keys are known
}

func TestA22UserInfo(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer abcdef" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		text(`{"username":"alice","scope":["sensor-data","x"],"resourceIds":["oada"],"clientId":"app","grantType":"code"}`)(w, r)
	})
	clock := &testClock{}
	v := newVerifier(t, Options{
		UserInfo: []UserInfo{{URL: srv.URL + "/api/users/me", UserClaim: "username", RolesClaim: "resourceIds", Scopes: []string{"x"}}},
		Clock:    clock.now,
	})
	for range 2 {
		if p := accept(t, v, "abcdef"); p.Name != "alice" || !p.HasRole("oada") || !p.HasScope("sensor-data") {
			t.Errorf("%+v", p)
		}
		refuse(t, v, "wrong", errInactive)
	}
	srv.asked(t, 2)
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			srv.answer(fault)
			clock.advance(goodFor)
			refuse(t, v, "abcdef", ErrUnavailable)
		})
	}
}

func TestA22UserInfoComesAfterIntrospection(t *testing.T) {
	srv, me := newServer(t, text(`{"active":false}`)), newServer(t, text(`{"sub":"bob"}`))
	v, clock := introspector(t, srv, func(o *Options) { o.UserInfo, o.SharedNames = []UserInfo{{URL: me.URL}}, true })
	if p := accept(t, v, "abcdef"); p.Name != "bob" {
		t.Errorf("%+v", p)
	}
	srv.answer(active(""))
	clock.advance(goodFor)
	if p := accept(t, v, "abcdef"); p.Name != "alice" {
		t.Errorf("%+v", p)
	}
	me.asked(t, 1)
}
