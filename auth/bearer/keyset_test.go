package bearer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestA20NewAsksNobody(t *testing.T) {
	srv := newServer(t, status(http.StatusInternalServerError))
	issuerAt(t, srv, nil)
	srv.asked(t, 0)
}

func TestA20KeysAreFetchedOnce(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, nil)
	for range 10 {
		accept(t, v, s.sign(t, goodClaims(issuerName), nil))
	}
	srv.asked(t, 1)
}

func TestA20UnknownKeyRefetchesOncePerMinute(t *testing.T) {
	old, next := es256("old"), signer{"new", jose.ES256, otherKey()}
	srv := newServer(t, keySetOf(t, old.public()))
	v, clock := issuerAt(t, srv, nil)
	oldToken, newToken := old.sign(t, goodClaims(issuerName), nil), next.sign(t, goodClaims(issuerName), nil)
	accept(t, v, oldToken)
	srv.asked(t, 1)

	srv.answer(keySetOf(t, next.public(), old.public())) // the issuer has rotated its keys
	clock.advance(time.Minute - 1)
	for range 10 {
		refuse(t, v, newToken, errKey)
	}
	srv.asked(t, 0)
	clock.advance(1)
	accept(t, v, newToken)
	accept(t, v, oldToken)
	srv.asked(t, 1)

	unknown := signer{"unknown", jose.ES256, otherKey()}.sign(t, goodClaims(issuerName), nil)
	clock.advance(time.Minute)
	for range 10 {
		refuse(t, v, unknown, errKey)
	}
	srv.asked(t, 1)
}

func TestA20WrongSignatureDoesNotRefetch(t *testing.T) {
	srv := newServer(t, keySetOf(t, es256("k").public()))
	v, clock := issuerAt(t, srv, nil)
	forged := signer{"k", jose.ES256, otherKey()}.sign(t, goodClaims(issuerName), nil)
	refuse(t, v, forged, errSignature)
	srv.asked(t, 1)
	clock.advance(2 * time.Minute)
	refuse(t, v, forged, errSignature)
	srv.asked(t, 0)
}

// For a token without a key id, only the signature shows that the keys are
// outdated.
func TestA20TokenWithoutKeyName(t *testing.T) {
	nameless := signer{"", jose.ES256, p256Key()}
	first := signer{"first", jose.ES256, otherKey()}
	srv := newServer(t, keySetOf(t, first.public(), signer{"ed", jose.EdDSA, edKey()}.public()))
	v, clock := issuerAt(t, srv, nil)
	accept(t, v, signer{"", jose.ES256, otherKey()}.sign(t, goodClaims(issuerName), nil))
	srv.asked(t, 1)

	token := nameless.sign(t, goodClaims(issuerName), nil)
	srv.answer(keySetOf(t, first.public(), es256("second").public()))
	refuse(t, v, token, errSignature)
	srv.asked(t, 0)
	clock.advance(time.Minute)
	accept(t, v, token)
	srv.asked(t, 1)
}

func TestA20FailedRefetchKeepsOldKeys(t *testing.T) {
	s := es256("k")
	unknown := signer{"unknown", jose.ES256, otherKey()}.sign(t, goodClaims(issuerName), nil)
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, keySetOf(t, s.public()))
			v, clock := issuerAt(t, srv, nil)
			token := s.sign(t, goodClaims(issuerName), nil)
			accept(t, v, token)

			srv.answer(fault)
			clock.advance(time.Minute)
			refuse(t, v, unknown, ErrUnavailable) // it may be of a key that the issuer has but cannot tell
			srv.requests.Store(0)
			refuse(t, v, unknown, ErrUnavailable)
			accept(t, v, token)
			srv.asked(t, 0)

			srv.answer(keySetOf(t, s.public()))
			clock.advance(time.Minute)
			refuse(t, v, unknown, errKey)
			accept(t, v, token)
			srv.asked(t, 1)
		})
	}
}

func TestA20NoKeysNoEntry(t *testing.T) {
	s := es256("k")
	token := s.sign(t, goodClaims(issuerName), nil)
	cases := map[string]http.HandlerFunc{
		"no keys":       text(`{"keys":[]}`),
		"too many keys": text(`{"keys":[` + strings.TrimSuffix(strings.Repeat(string(must(json.Marshal(s.public())))+",", maxKeys+1), ",") + `]}`),
	}
	for name, fault := range faults {
		cases[name] = fault
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, fault)
			v, clock := issuerAt(t, srv, nil)
			refuse(t, v, token, ErrUnavailable)
			srv.requests.Store(0)
			clock.advance(emptyInterval - 1)
			refuse(t, v, token, ErrUnavailable)
			srv.asked(t, 0)
			srv.answer(keySetOf(t, s.public()))
			clock.advance(1)
			accept(t, v, token)
			srv.asked(t, 1)
		})
	}
}

func TestA20DownIssuer(t *testing.T) {
	srv := newServer(t, keySetOf(t, es256("k").public()))
	srv.URL = nobody
	v, _ := issuerAt(t, srv, nil)
	refuse(t, v, es256("k").sign(t, goodClaims(issuerName), nil), ErrUnavailable)
}

func TestA20WithdrawnKeyIsForgottenInAnHour(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, clock := issuerAt(t, srv, nil)
	token := s.sign(t, goodClaims(issuerName).with("exp", epoch.Unix()+86400), nil)
	accept(t, v, token)
	srv.answer(keySetOf(t, signer{"new", jose.ES256, otherKey()}.public()))
	clock.advance(keysAge - 1)
	accept(t, v, token)
	srv.asked(t, 1)
	clock.advance(1)
	_, _ = v.Verify(context.Background(), token) // starts the fetch without waiting for it
	eventually(t, "the withdrawn key is refused", func() bool {
		_, err := v.Verify(context.Background(), token)
		return errors.Is(err, errKey)
	})
	srv.asked(t, 1)
}

func TestA20ThunderingHerd(t *testing.T) {
	s := es256("k")
	good := keySetOf(t, s.public())
	release := make(chan struct{})
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		testkit.Hold(t, release)
		good(w, r)
	})
	v, _ := issuerAt(t, srv, nil)
	token := s.sign(t, goodClaims(issuerName), nil)
	var group sync.WaitGroup
	refusals := make(chan error, 100)
	for range 100 {
		group.Go(func() {
			if _, err := v.Verify(context.Background(), token); err != nil {
				refusals <- err
			}
		})
	}
	eventually(t, "a request", func() bool { return srv.requests.Load() > 0 })

	// One who gives up spoils nothing for the others.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.Verify(ctx, token); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation: %v", err)
	}
	close(release)
	testkit.Wait(t, &group)
	close(refusals)
	for err := range refusals {
		t.Error(err)
	}
	srv.asked(t, 1)
}

// roundTrip is a transport without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestA20SlowIssuer(t *testing.T) {
	token := es256("k").sign(t, goodClaims(issuerName), nil)
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, Options{
			JWT: []JWT{{Issuer: issuerName, Audience: audience, Algorithms: []string{"ES256"}}},
			Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})},
		})
		began := time.Now()
		refuse(t, v, token, ErrUnavailable)
		if took := time.Since(began); took != callTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestA20PanicInTheTransport(t *testing.T) {
	v := newVerifier(t, Options{
		JWT:    []JWT{{Issuer: issuerName, Audience: audience, JWKS: issuerName, Algorithms: []string{"ES256"}}},
		Client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("bug") })},
	})
	if e := refuse(t, v, es256("k").sign(t, goodClaims(issuerName), nil), ErrUnavailable); !errors.Is(e, errPanic) {
		t.Errorf("refused with %v", e)
	}
}

func TestA20Discovery(t *testing.T) {
	s := es256("k")
	var srv *server
	document := func(issuer, jwks string) http.HandlerFunc {
		keys := keySetOf(t, s.public())
		return func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/tenant/.well-known/openid-configuration":
				text(string(must(json.Marshal(map[string]string{"issuer": issuer, "jwks_uri": jwks}))))(w, r)
			case "/keys":
				keys(w, r)
			default:
				http.NotFound(w, r)
			}
		}
	}
	srv = newServer(t, nil)
	issuer := srv.URL + "/tenant"
	token := s.sign(t, goodClaims(issuer), nil)
	byDiscovery := func(o *JWT) { o.Issuer, o.JWKS = issuer, "" }
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		rule    error
	}{
		"good":            {document(issuer, srv.URL+"/keys"), nil},
		"another issuer":  {document(issuer+"/", srv.URL+"/keys"), errMismatch},
		"insecure":        {document(issuer, "http://example.com/keys"), errInsecure},
		"no jwks_uri":     {document(issuer, ""), errInsecure},
		"file":            {document(issuer, "file:///etc/passwd"), errInsecure},
		"keys are absent": {document(issuer, srv.URL+"/absent"), ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			srv.answer(test.handler)
			srv.requests.Store(0)
			v, _ := issuerAt(t, srv, byDiscovery)
			if test.rule != nil {
				if e := refuse(t, v, token, ErrUnavailable); !errors.Is(e, test.rule) {
					t.Errorf("refused with %v", e)
				}
				return
			}
			accept(t, v, token)
			accept(t, v, token)
			srv.asked(t, 2)
		})
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			srv.answer(fault)
			v, _ := issuerAt(t, srv, byDiscovery)
			if e := refuse(t, v, token, ErrUnavailable); len(e.Error()) > 300 || strings.Contains(e.Error(), "xxx") {
				t.Error("the document is in the error")
			}
		})
	}
}

// A token is verified only with the keys of the issuer that it names.
func TestA20Issuers(t *testing.T) {
	a, b := es256("k"), signer{"k", jose.ES256, otherKey()}
	srvA, srvB := newServer(t, keySetOf(t, a.public())), newServer(t, keySetOf(t, b.public()))
	of := func(s *server) JWT {
		return JWT{Issuer: s.URL, Audience: audience, JWKS: s.URL, Algorithms: []string{"ES256"}}
	}
	v := newVerifier(t, Options{JWT: []JWT{of(srvA), of(srvB)}, SharedNames: true, Clock: (&testClock{}).now})
	accept(t, v, a.sign(t, goodClaims(srvA.URL), nil))
	srvB.asked(t, 0)
	accept(t, v, b.sign(t, goodClaims(srvB.URL), nil))
	refuse(t, v, b.sign(t, goodClaims(srvA.URL), nil), errSignature)
	refuse(t, v, a.sign(t, goodClaims(srvB.URL), nil), errSignature)
	refuse(t, v, a.sign(t, goodClaims("https://evil.example.com"), nil), errUnknown)
}

func TestCallGivesAllTheSame(t *testing.T) {
	var order []string
	c := start(context.Background(), func(context.Context) (int, error) { return 7, nil }, func(int, error) { order = append(order, "finish") })
	n, err := c.wait(context.Background())
	if order = append(order, "wait"); n != 7 || err != nil || !slices.Equal(order, []string{"finish", "wait"}) {
		t.Fatal(n, err, order)
	}
}
