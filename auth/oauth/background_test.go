package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// resource is a server that wants one particular access token.
type resource struct {
	want      atomic.Pointer[string]
	asked     atomic.Int64
	challenge string
}

func (s *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Authorization") != "Bearer "+*s.want.Load() {
		w.Header().Set("WWW-Authenticate", s.challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Write(body)
}

func newResource(want string) *resource {
	s := &resource{challenge: `Bearer realm="x", error="invalid_token"`}
	s.want.Store(&want)
	return s
}

// api serves the resource at https://api.example and the stand-in everywhere
// else.
func api(s *standin, res http.Handler) func(*Options) {
	return func(o *Options) {
		o.Transport = direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Host == "api.example" {
				res.ServeHTTP(w, r)
				return
			}
			s.ServeHTTP(w, r)
		})}
	}
}

func TestA11A12HTTPClientRefreshesOnInvalidToken(t *testing.T) {
	s, res := newStandin(), newResource("access-002")
	c, _ := signedIn(t, s, api(s, res))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			resp, err := c.HTTPClient("alice", "idp").Post("https://api.example/x", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(body) != "hello" {
				t.Error(resp.StatusCode, string(body))
			}
		})
	}
	testkit.Wait(t, &wg)
	if n := len(s.tokenRequests()); n != 2 {
		t.Errorf("%d token requests, want the login's and one more", n)
	}
}

func TestHTTPClientLeavesOther401sAlone(t *testing.T) {
	for name, challenge := range map[string]string{"basic": "Basic", "scope": `Bearer error="insufficient_scope"`, "none": ""} {
		s, res := newStandin(), newResource("other")
		res.challenge = challenge
		c, _ := signedIn(t, s, api(s, res))
		resp, err := c.HTTPClient("alice", "idp").Get("https://api.example/")
		if err != nil || resp.StatusCode != http.StatusUnauthorized || res.asked.Load() != 1 || len(s.tokenRequests()) != 1 {
			t.Error(name, resp, err)
		}
	}
}

func TestHTTPClientTriesOnceMoreOnly(t *testing.T) {
	s, res := newStandin(), newResource("never")
	c, _ := signedIn(t, s, api(s, res))
	resp, err := c.HTTPClient("alice", "idp").Get("https://api.example/")
	if err != nil || resp.StatusCode != http.StatusUnauthorized || res.asked.Load() != 2 || len(s.tokenRequests()) != 2 {
		t.Error(resp, err, res.asked.Load())
	}
	s.tokenReply = refuse("invalid_grant")
	if _, err := c.HTTPClient("alice", "idp").Get("https://api.example/"); !errors.Is(err, ErrReconsent) {
		t.Error(err)
	}
	if _, err := c.HTTPClient("bob", "idp").Get("https://api.example/"); !errors.Is(err, ErrNoToken) {
		t.Error(err)
	}
}

func TestHTTPClientDoesNotRepeatABodyThatIsGone(t *testing.T) {
	s, res := newStandin(), newResource("access-002")
	c, _ := signedIn(t, s, api(s, res))
	r := httptest.NewRequest(http.MethodPost, "https://api.example/", io.LimitReader(strings.NewReader("x"), 1))
	r.RequestURI = ""
	resp, err := c.HTTPClient("alice", "idp").Do(r)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || res.asked.Load() != 1 {
		t.Error(resp, err)
	}
}

func TestHTTPClientKeepsTheTokenToItsHost(t *testing.T) {
	s := newStandin()
	var leaked atomic.Bool
	c, _ := signedIn(t, s, func(o *Options) {
		o.Transport = direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Host {
			case "api.example":
				http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
			case "evil.example":
				if r.Header.Get("Authorization") != "" {
					leaked.Store(true)
				}
			default:
				s.ServeHTTP(w, r)
			}
		})}
	})
	resp, err := c.HTTPClient("alice", "idp").Get("https://api.example/")
	if err != nil || resp.StatusCode != http.StatusOK || leaked.Load() {
		t.Error(resp, err, leaked.Load())
	}
	if _, err := c.HTTPClient("alice", "idp").Get("http://api.example/"); !errors.Is(err, errNotSecure) {
		t.Error(err)
	}
}
