package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/users"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// site is a demo on ports of its own, that remembers what it logged and which
// secrets went over the wire.
type site struct {
	*demo
	log *syncBuffer

	mu       sync.Mutex
	secrets  []string
	requests map[string]int // by path
}

// start starts a demo; it ends with the test.
func start(t *testing.T, change func(*options)) *site {
	t.Helper()
	s := &site{log: new(syncBuffer), requests: make(map[string]int)}
	app, provider := listen(t), listen(t)
	o := options{
		App: "http://" + app.Addr().String(), Provider: "http://" + provider.Addr().String(), Modules: "../node_modules",
		Wait: time.Minute, Every: 20 * time.Millisecond, PasswordCost: users.MinCost,
		Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	var err error
	if s.demo, err = newDemo(o); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		l net.Listener
		h http.Handler
	}{{app, s.App}, {provider, s.Provider}} {
		server := &http.Server{Handler: s.overhear(one.h), ReadHeaderTimeout: 5 * time.Second}
		served := make(chan error, 1)
		go func() { served <- server.Serve(one.l) }()
		t.Cleanup(func() {
			_ = server.Close() // what it says, Serve says too
			if err := testkit.Receive(t, served); err != http.ErrServerClosed {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var jobs sync.WaitGroup
		jobs.Go(func() { s.fetchReadings(ctx) })
		jobs.Go(func() { s.idp.Run(ctx) })
		jobs.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Receive(t, done)
		s.Close()
	})
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// overhear remembers the secrets in requests: tickets, codes, verifiers, tokens
// and passwords.
func (s *site) overhear(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests[r.URL.Path]++
		s.mu.Unlock()
		q := r.URL.Query()
		s.remember(q.Get("ticket"), q.Get("code"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		for _, c := range r.Cookies() {
			s.remember(c.Value)
		}
		next.ServeHTTP(w, r)
		for _, name := range []string{"code", "code_verifier", "refresh_token", "token", "password", "id_token"} {
			s.remember(r.PostForm.Get(name)) // as the handler has parsed it
		}
	})
}

func (s *site) remember(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		if len(secret) >= 16 { // the demo's password is no secret, and is in a page
			s.secrets = append(s.secrets, secret)
		}
	}
}

// count returns how many requests for a path there were.
func (s *site) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

// nothingSecretLogged is E-15.
func (s *site) nothingSecretLogged(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.secrets) == 0 {
		t.Error("no secret was overheard, so nothing is proven")
	}
	log := s.log.String()
	for _, secret := range s.secrets {
		if strings.Contains(log, secret) {
			t.Errorf("a secret of %d characters is in the log", len(secret))
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
