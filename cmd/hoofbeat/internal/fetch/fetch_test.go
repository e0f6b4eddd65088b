package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/oauth"
)

// site holds the users, their tokens and the resource. All of it runs in the
// bubble of a test.
type site struct {
	mu     sync.Mutex
	users  []string
	serve  func(r *http.Request) (*http.Response, error)
	asked  []time.Time // when
	hosts  []string
	now    int // requests underway
	most   int
	log    bytes.Buffer
	posted []string
}

func (s *site) Users(context.Context, string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.users...), nil
}

func (s *site) HTTPClient(string, string) *http.Client { return &http.Client{Transport: s} }

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked, s.hosts = append(s.asked, time.Now()), append(s.hosts, r.URL.Host)
	s.now++
	s.most = max(s.most, s.now)
	serve := s.serve
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	return serve(r)
}

func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *site) set(serve func(*http.Request) (*http.Response, error), users ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve, s.users = serve, users
}

func answer(status int, kind, body string, more ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {kind}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func fails(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

const resource = "https://mail.example/unread?key=secret-of-the-url"

// running starts a Fetcher for the sources, which ends with the test.
func running(t *testing.T, s *site, sources ...Source) *Fetcher {
	t.Helper()
	f := New(Options{
		Sources: sources, Grants: s, MaxBody: 100, MaxKept: 150, Logger: slog.New(slog.NewTextHandler(s, nil)),
		Publish: func(_ context.Context, user, destination string, a Answer) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.posted = append(s.posted, user+" "+destination+" "+string(a.Body))
			return nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { f.Run(ctx) })
	t.Cleanup(func() { cancel(); all.Wait() })
	return f
}

func source(name string) Source {
	return Source{Name: name, Provider: "idp", URL: resource, Every: time.Minute, Destination: "/user/queue/" + name}
}

func pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

// An invalid answer keeps the last one, and the log shows it without the URL.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(*http.Request) (*http.Response, error)
		log   string
	}{
		"a redirect":    {answer(302, "application/json", `{}`, "Location", "https://evil.example/"), "HTTP 302"},
		"a server down": {answer(503, "application/json", `{}`), "HTTP 503"},
		"HTML":          {answer(200, "text/html", `{}`), "not JSON"},
		"half of it":    {answer(200, "application/json", `{"a":`), "not JSON"},
		"no type":       {answer(200, "", `{}`), "not JSON"},
		"too long":      {answer(200, "application/json", `"`+strings.Repeat("a", 99)+`"`), "limits.fetched_answer of 100 bytes"},
		"no connection": {fails(errors.New("no route")), "no route"},
		"no end":        {hangs, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(site)
				s.set(answer(200, "application/vnd.x+json; charset=utf-8", `{"unread":1}`), "ann")
				f := running(t, s, source("mail"))
				synctest.Wait()
				s.set(c.serve, "ann")
				pass(90 * time.Second)
				got, ok := f.Last("mail", "ann")
				if !ok || string(got.Body) != `{"unread":1}` || got.Type != "application/vnd.x+json" || got.Reconsent {
					t.Errorf("got %+v", got)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if log := s.log.String(); !strings.Contains(log, c.log) || strings.Contains(log, "secret-of-the-url") {
					t.Errorf("the log is %s", log)
				}
				for _, host := range s.hosts {
					if host != "mail.example" {
						t.Errorf("asked %s", host)
					}
				}
				if len(s.asked) < 2 || len(s.posted) != 1 || s.posted[0] != `ann /user/queue/mail {"unread":1}` {
					t.Errorf("asked %d times, published %q", len(s.asked), s.posted)
				}
			})
		})
	}
}

// A resource that does not answer gets at most eight requests, and does not
// delay the others.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site)
		s.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "slow.example" {
				return hangs(r)
			}
			return answer(200, "application/json", "1")(r)
		}, strings.Split("a b c d e f g h i j k l m n o p q r s t", " ")...)
		slow := source("slow")
		slow.URL = "https://slow.example/"
		f := running(t, s, slow, source("mail"))
		synctest.Wait()
		s.mu.Lock()
		if s.now != parallel {
			t.Errorf("%d requests at a time, want %d", s.now, parallel)
		}
		s.mu.Unlock()
		if _, ok := f.Last("mail", "t"); !ok {
			t.Error("the other resource waits")
		}
		pass(time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.most > 2*parallel {
			t.Errorf("%d requests at a time of two sources", s.most)
		}
	})
}

// Requests come up to a tenth early, and less and less often while they fail.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site)
		s.set(answer(200, "application/json", "1"), "ann")
		running(t, s, source("mail"))
		pass(20 * time.Minute)
		s.mu.Lock()
		for i := 1; i < len(s.asked); i++ {
			if d := s.asked[i].Sub(s.asked[i-1]); d < 54*time.Second || d > time.Minute+maxTick {
				t.Errorf("pause %d is %v", i, d)
			}
		}
		if len(s.asked) < 15 || len(s.posted) != 1 {
			t.Errorf("asked %d times, published %d times", len(s.asked), len(s.posted))
		}
		s.asked = nil
		s.mu.Unlock()
		s.set(fails(errors.New("down")), "ann")
		pass(24 * time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		last := s.asked[len(s.asked)-1].Sub(s.asked[len(s.asked)-2])
		if len(s.asked) > 35 || last < 59*time.Minute || last > time.Hour+maxTick {
			t.Errorf("asked %d times in a day, the last pause is %v", len(s.asked), last)
		}
		if lines := strings.Count(s.log.String(), "\n"); lines > len(s.asked) {
			t.Errorf("%d lines in the log", lines)
		}
	})
}

// The kept answers are bounded, and an answer is removed with its user.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site)
		s.set(answer(200, "application/json", `"`+strings.Repeat("a", 78)+`"`), "ann", "bob")
		f := running(t, s, source("mail"))
		synctest.Wait()
		kept := func() (n int) {
			for _, user := range []string{"ann", "bob"} {
				if _, ok := f.Last("mail", user); ok {
					n++
				}
			}
			return n
		}
		if kept() != 1 {
			t.Errorf("%d answers of 80 bytes are kept, want 1: the limit is 150", kept())
		}
		s.mu.Lock()
		if !strings.Contains(s.log.String(), "limits.fetched_answers") || len(s.posted) != 2 {
			t.Errorf("published %q, log %s", s.posted, s.log.String())
		}
		s.mu.Unlock()
		s.set(answer(200, "application/json", "1"))
		pass(2 * maxTick)
		if f.mu.Lock(); f.kept != 0 || len(f.states) != 0 {
			t.Errorf("%d bytes of %d users are kept", f.kept, len(f.states))
		}
		f.mu.Unlock()
		s.set(answer(200, "application/json", "1"), "ann")
		pass(2 * maxTick)
		if kept() != 1 {
			t.Error("who comes back is not asked for")
		}
	})
}

// A user that must sign in again is told so, and is asked for soon after the
// sign-in.
func TestReconsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site)
		s.set(fails(oauth.ErrReconsent), "ann")
		f := running(t, s, source("mail"))
		synctest.Wait()
		if got, ok := f.Last("mail", "ann"); !ok || !got.Reconsent || got.Provider != "idp" || got.Body != nil {
			t.Errorf("before any answer: %+v", got)
		}
		s.set(answer(200, "application/json", "1"), "ann")
		pass(2 * maxTick)
		if got, ok := f.Last("mail", "ann"); !ok || got.Reconsent || string(got.Body) != "1" {
			t.Errorf("after a login: %+v", got)
		}
		s.set(fails(oauth.ErrReconsent), "ann")
		pass(90 * time.Second)
		if got, ok := f.Last("mail", "ann"); !ok || !got.Reconsent || string(got.Body) != "1" {
			t.Errorf("after an answer: %+v", got)
		}
	})
}
