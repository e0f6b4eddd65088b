//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// program is what start and serve run, if it is not the built binary.
var program string

// start starts hoofbeat with nothing of this process's environment but HOME,
// which is a new folder, and env. It is killed with its test.
func start(t *testing.T, env []string, args ...string) *process.Process {
	t.Helper()
	return process.Start(t, process.Options{Binary: program, Env: env, Args: args})
}

// server is `hoofbeat serve` that is ready.
type server struct {
	*process.Server
	url, admin, tcp string
}

// serve starts a broker on ports of its own and waits until it is ready.
func serve(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	return serveWith(t, process.Options{Binary: program, Env: env, Args: args})
}

func serveWith(t *testing.T, o process.Options) *server {
	t.Helper()
	s := process.Serve(t, o)
	return &server{s, s.URL, s.Admin, s.TCP}
}

// web is the HTTP address of the public listener.
func (s *server) web() string {
	return "http" + strings.TrimPrefix(strings.TrimSuffix(s.url, "/ws"), "ws")
}

// sub starts `hoofbeat sub` and waits until it says that it is subscribed.
func (s *server) sub(t *testing.T, env []string, args ...string) *process.Process {
	t.Helper()
	p := start(t, env, append([]string{"sub"}, args...)...)
	brokertest.Eventually(t, "sub subscribes", func() bool {
		select {
		case <-p.Done():
			t.Fatalf("sub has ended: %s", p.Stderr())
		default:
		}
		return strings.Contains(p.Stderr(), "subscribed to ")
	})
	return p
}

type stats struct{ Sessions, Sockets, Subscriptions int }

func (s *server) stats(t *testing.T) (st stats) {
	t.Helper()
	if code := s.call(t, "GET", "/api/v1/stats", "", &st); code != http.StatusOK {
		t.Fatalf("stats: HTTP %d", code)
	}
	return st
}

// token is the bearer token of the admin API.
func (s *server) token(t *testing.T) string {
	t.Helper()
	for _, e := range s.Log("listening") {
		if path, ok := e["token_file"].(string); ok {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(data))
		}
	}
	return testToken
}

const testToken = "token-of-the-admin-api"

// call sends a request to the admin API.
func (s *server) call(t *testing.T, method, path, body string, answer any) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token(t))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer != nil {
		if err := json.NewDecoder(res.Body).Decode(answer); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	return res.StatusCode
}

// run runs a client command to its end.
func run(t *testing.T, code int, env []string, args ...string) *process.Process {
	t.Helper()
	p := start(t, env, args...)
	p.Exit(t, code)
	return p
}

// write makes a file for a test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// user returns an entry for the users file, with the role writer.
func user(t *testing.T, name, passcode string) string {
	t.Helper()
	cmd := exec.Command(process.Binary(t), "passwd", name, "--role", "writer")
	cmd.Stdin = strings.NewReader(passcode + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// get returns the status and the body of a page.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
