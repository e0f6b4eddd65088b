package examples_test

import (
	"bufio"
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
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

const npm = "npm install --prefix examples"

// blocks returns the fenced blocks of a document in a language.
func blocks(t *testing.T, path, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?sm)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// only returns the only block of a document in a language.
func only(t *testing.T, path, language string) string {
	t.Helper()
	all := blocks(t, path, language)
	if len(all) != 1 {
		t.Fatalf("%s has %d blocks of %s, want 1", path, len(all), language)
	}
	return all[0]
}

// TestDocumentsGo: the programs in the documents compile as they stand. One
// begins with its package clause, and the functions in the blocks behind it
// belong to it.
func TestDocumentsGo(t *testing.T) {
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, "../README.md") {
		var programs []string
		for _, block := range blocks(t, path, "go") {
			switch {
			case strings.HasPrefix(block, "package main\n"):
				programs = append(programs, block)
			case strings.HasPrefix(block, "func ") && len(programs) > 0:
				programs[len(programs)-1] += "\n" + block
			}
		}
		for _, program := range programs {
			t.Run(filepath.Base(path), func(t *testing.T) { vet(t, program) })
		}
	}
}

func vet(t *testing.T, program string) {
	dir, err := os.MkdirTemp(".", "document-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", "./"+dir).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("it is not formatted: %v\n%s", err, out)
	}
}

// startNode runs a module in Node until the test ends, and returns the lines
// that it prints.
func startNode(t *testing.T, code string) <-chan string {
	t.Helper()
	e2e.Need(t, "node_modules/@stomp/stompjs", npm)
	file, err := os.CreateTemp("node_modules", ".document-*.mjs") // where its imports resolve
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file.Name()) })
	if _, err := file.WriteString(code); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	var complaints strings.Builder
	node := exec.CommandContext(ctx, "node", file.Name())
	node.Stderr = &complaints
	printed, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		in := bufio.NewScanner(printed)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Receive(t, done)
		_ = node.Wait() // it was killed
		if t.Failed() {
			t.Logf("node complained:\n%s", complaints.String())
		}
	})
	return lines
}

// TestReadmeJavaScript: the page's code runs, in Node, with nothing changed but
// the address and a WebSocket for Node, and gets its messages.
func TestReadmeJavaScript(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	code := strings.ReplaceAll(blocks(t, "../README.md", "js")[0], "ws://127.0.0.1:8080/ws", srv.URL)
	lines := startNode(t, "import { WebSocket } from 'ws';\nglobalThis.WebSocket = WebSocket;\n"+code)
	if got := testkit.Receive(t, lines); got != "for all: hello" {
		t.Fatalf("it printed %q", got)
	}
	m := &broker.Message{Destination: "/queue/news", Body: []byte("you have mail")}
	if d, err := srv.Broker.PublishToUser(t.Context(), "ann", m); err != nil || d.Subscriptions != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if got := testkit.Receive(t, lines); got != "for me: you have mail" {
		t.Errorf("it printed %q", got)
	}
}

// TestReadmeHistory: the lines about history run with the client of the page,
// and get what is kept and what follows.
func TestReadmeHistory(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{History: []broker.History{{Destination: "/topic/prices/**"}}})
	send := func(body string) {
		t.Helper()
		if err := srv.Broker.Publish(t.Context(), &broker.Message{Destination: "/topic/prices/eu", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	send("1")
	send("2")
	page := "import { Client } from '@stomp/stompjs';\nimport { WebSocket } from 'ws';\nglobalThis.WebSocket = WebSocket;\n" +
		"const client = new Client({ brokerURL: '" + srv.URL + "' });\n" + blocks(t, "../README.md", "js")[1] + "client.activate();\n"
	lines := startNode(t, page)
	for _, want := range []string{"false 1", " 2"} {
		if got := testkit.Receive(t, lines); got != want {
			t.Fatalf("it printed %q, want %q", got, want)
		}
	}
	send("3")
	if got := testkit.Receive(t, lines); got != " 3" {
		t.Errorf("it printed %q", got)
	}
}
