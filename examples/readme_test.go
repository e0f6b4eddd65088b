package examples_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

// block returns the only fenced block of the README in a language.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(all) != 1 {
		t.Fatalf("the README has %d blocks of %s, want 1", len(all), language)
	}
	return all[0][1]
}

// TestReadmeGo: the program in the README compiles as it stands.
func TestReadmeGo(t *testing.T) {
	dir, err := os.MkdirTemp(".", "readme-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(block(t, "go")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", "./"+dir).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReadmeJavaScript: the page's code runs, in Node, with nothing changed but
// the address and a WebSocket for Node, and gets its messages.
func TestReadmeJavaScript(t *testing.T) {
	const install = "npm install --prefix examples"
	e2e.Need(t, "node_modules/@stomp/stompjs", install)
	srv := brokertest.Start(t, broker.Options{})
	code := strings.ReplaceAll(block(t, "js"), "ws://127.0.0.1:8080/ws", srv.URL)
	code = "import { WebSocket } from 'ws';\nglobalThis.WebSocket = WebSocket;\n" + code +
		"setInterval(() => { if (!client.active) process.exit(); }, 50);\n"
	path := filepath.Join("node_modules", ".readme.mjs") // where its imports resolve
	if err := os.WriteFile(path, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out strings.Builder
	node := exec.CommandContext(ctx, "node", path)
	node.Stderr = &out
	printed, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = node.Process.Kill()
		_ = node.Wait() // it was killed
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		buf := make([]byte, 1024)
		for {
			n, err := printed.Read(buf)
			if n > 0 {
				lines <- string(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	if got := <-lines; got != "for all: hello\n" {
		t.Fatalf("it printed %q\n%s", got, out.String())
	}
	m := &broker.Message{Destination: "/queue/news", Body: []byte("you have mail")}
	if d, err := srv.Broker.PublishToUser(ctx, "ann", m); err != nil || d.Subscriptions != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if got := <-lines; got != "for me: you have mail\n" {
		t.Errorf("it printed %q\n%s", got, out.String())
	}
}
