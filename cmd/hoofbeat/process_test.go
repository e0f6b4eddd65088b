//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// binary is hoofbeat as it is built for this run of the tests.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hoofbeat")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "hoofbeat")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a running or finished hoofbeat.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	out  output

	mu    sync.Mutex
	lines []map[string]any // the log, from standard error
	err   strings.Builder  // standard error as it came
}

// output collects what a process writes while others read it.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts hoofbeat with nothing of this process's environment but HOME,
// which is a new folder, and env. It is killed with its test.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{"HOME=" + t.TempDir()}, env...)
	p.cmd.Stdout = &p.out
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.read(stderr)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		testkit.Receive(t, p.done)
		if t.Failed() {
			t.Logf("hoofbeat %s\nout: %s\nerr: %s", strings.Join(args, " "), p.out.String(), p.stderr())
		}
	})
	return p
}

func (p *process) read(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 32<<20) // a dump of all goroutines is one line
	for lines.Scan() {
		var entry map[string]any
		err := json.Unmarshal(lines.Bytes(), &entry)
		p.mu.Lock()
		fmt.Fprintln(&p.err, lines.Text())
		if err == nil {
			p.lines = append(p.lines, entry)
		}
		p.mu.Unlock()
	}
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.String()
}

// log returns the entries with a message.
func (p *process) log(message string) []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.lines), func(e map[string]any) bool { return e["msg"] != message })
}

// exit waits for the end and checks the exit code.
func (p *process) exit(t *testing.T, want int) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatalf("hoofbeat has not ended")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d, want %d\n%s", got, want, p.stderr())
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// logged waits for the nth entry with a message in the log, and returns it.
func (p *process) logged(t *testing.T, message string, n int) map[string]any {
	t.Helper()
	brokertest.Eventually(t, "the log says "+message, func() bool {
		select {
		case <-p.done:
			t.Fatalf("hoofbeat has ended with %d before it logged %q\n%s", p.cmd.ProcessState.ExitCode(), message, p.stderr())
		default:
		}
		return len(p.log(message)) >= n
	})
	return p.log(message)[n-1]
}

// server is `hoofbeat serve` that is ready.
type server struct {
	*process
	url, admin, tcp string
}

// serve starts a broker on ports of its own and waits until it is ready.
func serve(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	env = append([]string{"HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=127.0.0.1:0", "HOOFBEAT_TCP=127.0.0.1:0"}, env...)
	s := &server{process: start(t, env, append([]string{"serve"}, args...)...)}
	s.logged(t, "ready", 1)
	for _, e := range s.log("listening") {
		url, _ := e["url"].(string)
		switch e["listener"] {
		case "listen":
			s.url = url
		case "admin":
			s.admin = url
		case "tcp":
			s.tcp = url
		}
	}
	return s
}

// web is the HTTP address of the public listener.
func (s *server) web() string {
	return "http" + strings.TrimPrefix(strings.TrimSuffix(s.url, "/ws"), "ws")
}

// sub starts `hoofbeat sub` and waits until it is subscribed.
func (s *server) sub(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	before := s.stats(t).Subscriptions
	p := start(t, env, append([]string{"sub"}, args...)...)
	brokertest.Eventually(t, "sub subscribes", func() bool {
		select {
		case <-p.done:
			t.Fatalf("sub has ended: %s", p.stderr())
		default:
		}
		return s.stats(t).Subscriptions > before
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
	for _, e := range s.log("listening") {
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
func run(t *testing.T, code int, env []string, args ...string) *process {
	t.Helper()
	p := start(t, env, args...)
	p.exit(t, code)
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
	cmd := exec.Command(binary, "passwd", name, "--role", "writer")
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
