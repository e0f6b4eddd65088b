package webhook

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

// The backend of testdata is what operators will begin with.
func TestNodeBackend(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("HOOFBEAT_E2E") == "required" {
			t.Fatal("node is missing: install Node 20 or later")
		}
		t.Skip("node is missing: install Node 20 or later")
	}
	const secret = "0b1f8a4be1a7"
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, node, "testdata/backend.mjs")
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := "http://127.0.0.1:" + strings.TrimSpace(port)
	w := newHook(t, Options{URL: url, Secret: secret})

	p, err := w.Authenticate(t.Context(), connect("alice", "wonderland"))
	if err != nil || p.Name != "alice" || !p.HasRole("reader") {
		t.Fatalf("alice: %v, %v", p, err)
	}
	for _, name := range []string{"alice", "bob", "__proto__", "constructor"} {
		if _, err := w.Authenticate(t.Context(), connect(name, "wrong")); refusalOf(t, err).Reason != "the login or the passcode is wrong" {
			t.Errorf("%s with a wrong passcode: %v", name, err)
		}
	}
	if _, err := w.Authenticate(t.Context(), connect("", "")); !errors.Is(err, auth.ErrNotMine) {
		t.Errorf("nobody: %v", err)
	}
	for _, tt := range []struct {
		p           *auth.Principal
		act         auth.Action
		destination string
		want        error
	}{
		{p, auth.Subscribe, "/topic/news", nil},
		{p, auth.Subscribe, "/topic/**", nil},
		{p, auth.Send, "/app/chat", nil},
		{p, auth.Send, "/topic/news", auth.ErrDenied},
		{&auth.Principal{}, auth.Subscribe, "/topic/news", auth.ErrDenied},
		{&auth.Principal{Name: "bob"}, auth.Send, "/app/chat", auth.ErrDenied},
	} {
		if err := w.Authorize(t.Context(), tt.p, tt.act, tt.destination); err != tt.want {
			t.Errorf("%s %v %s: %v, want %v", tt.p.Name, tt.act, tt.destination, err, tt.want)
		}
	}

	// It must not believe anybody else.
	for _, other := range []string{"", "guessed"} {
		forged := newHook(t, Options{URL: url, Secret: other})
		if _, err := forged.Authenticate(t.Context(), connect("alice", "wonderland")); refusalOf(t, err).StatusCode() != 401 {
			t.Errorf("signed with %q: %v", other, err)
		}
	}
}
