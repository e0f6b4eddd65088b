package cli

import (
	"bytes"
	"context"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// buffer is a bytes.Buffer that a test may read while a command writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command is a running or finished command.
type command struct {
	out, err buffer
	cancel   context.CancelFunc // Ctrl-C
	done     chan int
}

func start(t *testing.T, in io.Reader, env []string, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &command{cancel: cancel, done: make(chan int, 1)}
	p := &Program{Args: args, Env: env, In: in, Out: &c.out, Err: &c.err}
	go func() { c.done <- p.Run(ctx) }()
	t.Cleanup(cancel)
	return c
}

func (c *command) wait(t *testing.T, code int) *command {
	t.Helper()
	select {
	case got := <-c.done:
		if got != code {
			t.Errorf("exit code %d, want %d\nout: %s\nerr: %s", got, code, c.out.String(), c.err.String())
		}
	case <-time.After(time.Minute):
		t.Fatalf("the command did not end\nout: %s\nerr: %s", c.out.String(), c.err.String())
	}
	return c
}

func run(t *testing.T, code int, in string, args ...string) *command {
	t.Helper()
	return start(t, strings.NewReader(in), nil, args...).wait(t, code)
}

func contains(t *testing.T, what, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%s\n%s\nwant %q in it", what, text, want)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"bogus"}, `unknown command "bogus"`},
		{[]string{"srve"}, `unknown command "srve" for "hoofbeat", did you mean serve?`},
		{[]string{"config", "chekc"}, `did you mean check?`},
		{[]string{"serve", "--listn", "x"}, `unknown flag: --listn, did you mean --listen?`},
		{[]string{"config", "bogus"}, `unknown command "bogus"`},
		{[]string{"config", "default", "x"}, `unexpected argument "x"`},
		{[]string{"pub"}, "DESTINATION is missing"},
		{[]string{"pub", "/a", "b", "c"}, `unexpected argument "c"`},
		{[]string{"pub", "/a", "b", "--bogus"}, "unknown flag: --bogus"},
		{[]string{"pub", "/a", "b", "--lines"}, "leave BODY out"},
		{[]string{"pub", "/a", "b", "--count", "0"}, "--count 0 is not positive"},
		{[]string{"pub", "/a", "b", "--count", "x"}, `invalid argument "x" for --count: want a whole number`},
		{[]string{"pub", "/a", "b", "--header", "x"}, "want name:value"},
		{[]string{"pub", "/a", "b", "--header", "receipt:1"}, "receipt is not yours to set"},
		{[]string{"pub", "/a", "b", "--timeout", "0s"}, "--timeout 0s is not positive"},
		{[]string{"pub", "/a", "b", "--url", "http://127.0.0.1/"}, `URL scheme "http"`},
		{[]string{"pub", "/a", "b", "--login", "a\nb"}, "login has a line end"},
		{[]string{"sub"}, "DESTINATION is missing"},
		{[]string{"notify", "op"}, "RESULT is missing"},
		{[]string{"sub", "/a", "--count", "-1"}, "--count -1 is negative"},
		{[]string{"sub", "/a", "--ack", "none"}, `--ack "none": want auto, client or client-individual`},
		{[]string{"sub", "/a", "--json", "--verbose"}, "leave --verbose out"},
		{[]string{"sub", "/a", "--header", "id:1"}, "id is not yours to set"},
		{[]string{"passwd", "a", "b"}, `unexpected argument "b"`},
		{[]string{"passwd", "a\nb"}, "has a line end"},
		{[]string{"passwd", "--role", "x"}, "--role wants a NAME"},
		{[]string{"passwd", "--cost", "4"}, "--cost 4: want 10 to 16"},
		{[]string{"config", "check", "--limits-frame", "1"}, "1 is out of range: want 1KiB to 1GiB, or off"},
		{[]string{"version", "x"}, `unexpected argument "x"`},
	} {
		text := run(t, exitUsage, "", c.args...).err.String()
		contains(t, strings.Join(c.args, " "), text, c.want)
		contains(t, strings.Join(c.args, " "), text, "See hoofbeat")
	}
}

// Every command explains itself with an example, and the pages that talk to a
// server or can be refused name the exit codes.
func TestHelp(t *testing.T) {
	contains(t, "serve", run(t, exitOK, "", "serve", "--help").out.String(), "Exit codes: 0 ended by a signal")
	contains(t, "no arguments", run(t, exitOK, "").out.String(), "Available Commands:")
	contains(t, "config", run(t, exitOK, "", "config").out.String(), "Available Commands:")
	for _, name := range []string{"pub", "sub", "ticket", "passwd", "config"} {
		text := run(t, exitOK, "", name, "--help").out.String()
		contains(t, name, text, "Examples:\n  hoofbeat "+name)
		contains(t, name, text, exitHelp)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		contains(t, shell, run(t, exitOK, "", "completion", shell).out.String(), "hoofbeat")
	}
}

func TestVersion(t *testing.T) {
	text := run(t, exitOK, "", "version").out.String()
	if !strings.HasPrefix(text, "hoofbeat ") || text != run(t, exitOK, "", "--version").out.String() {
		t.Errorf("version %q, --version %q", text, run(t, exitOK, "", "--version").out.String())
	}
	got := describe(&debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
		},
	})
	if !strings.HasPrefix(got, "hoofbeat v1.2.3, 0123456789ab modified 2026-01-02T03:04:05Z, go1.") {
		t.Errorf("version %q", got)
	}
}

func TestRefusals(t *testing.T) {
	s := newServer(t, broker.Options{Queues: broker.Queues{Messages: 1}})
	s.publish(t, broker.Message{Destination: "/queue/full"})
	const denied = "hoofbeat: server sent ERROR: not allowed to "
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitRefused, "hoofbeat: server refused CONNECT: login or passcode refused\n", []string{"pub", "/topic/a", "b", "--login", "eve"}},
		{exitRefused, "hoofbeat: server answered the WebSocket handshake with HTTP 403 Forbidden: {\"error\":\"not you\"}\n", []string{"sub", "/a", "--url", s.URL + "?status=403"}},
		{exitFailure, "HTTP 503", []string{"sub", "/a", "--url", s.URL + "?status=503"}},
		{exitRefused, denied, []string{"pub", "/topic/denied", "b"}},
		{exitRefused, denied, []string{"pub", "/topic/denied", "b", "--receipt=false"}},
		{exitFailure, denied, []string{"pub", "/topic/denied", "b", "--receipt=false", "--url", s.TCP}},
		{exitRefused, denied, []string{"sub", "/topic/denied"}},
		{exitFailure, denied, []string{"pub", "/topic/denied", "b", "--url", s.TCP}},
		{exitFailure, "hoofbeat: server sent ERROR: queue", []string{"pub", "/queue/full", "b"}},
	} {
		args := append([]string{"--url", s.URL}, c.args[1:]...)
		got := run(t, c.code, "", append([]string{c.args[0]}, args...)...).err.String()
		contains(t, strings.Join(c.args, " "), got, c.want)
	}
}

func TestDrained(t *testing.T) {
	s := newServer(t, broker.Options{})
	c := start(t, nil, nil, "sub", "-u", s.URL, "/topic/a")
	s.subscriptions(t, 1)
	if err := s.Broker.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	contains(t, "sub", c.wait(t, exitFailure).err.String(), "code 1012: draining")
	contains(t, "pub", run(t, exitFailure, "", "pub", "-u", s.URL, "/topic/a", "b").err.String(), "HTTP 503")
}

func TestNobodyListens(t *testing.T) {
	got := start(t, strings.NewReader(""), []string{"HOOFBEAT_URL=ws://127.0.0.1:1/ws?ticket=secret"}, "pub", "/a", "b").wait(t, exitFailure).err.String()
	contains(t, "pub", got, "connection refused")
	if strings.Contains(got, "secret") {
		t.Errorf("a ticket is in %q", got)
	}
}

func TestConnectTimesOut(t *testing.T) {
	s := newServer(t, broker.Options{})
	got := run(t, exitFailure, "", "pub", "/a", "b", "--url", s.URL, "--login", "mute", "--timeout", "50ms").err.String()
	contains(t, "pub", got, "no answer within 50ms")
}
