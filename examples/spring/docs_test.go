package spring_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

const document = "../../docs/spring.md"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block returns the first block of a language that contains a text.
func block(t *testing.T, path, language, containing string) string {
	t.Helper()
	for _, m := range regexp.MustCompile("(?sm)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(read(t, path), -1) {
		if strings.Contains(m[1], containing) {
			return m[1]
		}
	}
	t.Fatalf("%s has no block of %s with %q", path, language, containing)
	return ""
}

// The relay in the document is the one of the example, on both sides.
func TestDocumentIsTheExample(t *testing.T) {
	squeeze := func(text string) string {
		return strings.Join(strings.Fields(regexp.MustCompile(`#.*`).ReplaceAllString(text, "")), " ")
	}
	if want := squeeze(block(t, document, "java", "enableStompBrokerRelay")); !strings.Contains(squeeze(read(t, sources+"WebSocketConfig.java")), want) {
		t.Errorf("WebSocketConfig.java differs from\n%s", want)
	}
	yaml := squeeze(read(t, "hoofbeat.yaml"))
	for line := range strings.Lines(block(t, document, "yaml", "transient")) {
		if want := squeeze(line); !strings.Contains(yaml, want) {
			t.Errorf("hoofbeat.yaml lacks %q", want)
		}
	}
}

// Every test that the document names is there.
func TestDocumentNamesTests(t *testing.T) {
	var all strings.Builder
	for _, pattern := range []string{"../../broker/*_test.go", "../../broker/*/*_test.go", "../../broker/interop/*/*_test.go", "../../auth/*_test.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range paths {
			all.WriteString(read(t, path))
		}
	}
	names := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(read(t, document), -1)
	if len(names) == 0 {
		t.Error("it names none")
	}
	for _, m := range names {
		if !strings.Contains(all.String(), "\nfunc "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// The page of the document, against the command of the document, with nothing
// changed but the port.
func TestDocumentPage(t *testing.T) {
	e2e.Need(t, modules+"sockjs-client", "npm ci --prefix broker/sockjs")
	h := run(t, nil, strings.Fields(block(t, document, "sh", "--compatibility"))[2:]...) // hoofbeat serve …
	dir := t.TempDir()
	where, err := filepath.Abs(modules)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(where, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	const was = "http://127.0.0.1:8080/ws"
	code := block(t, document, "js", was)
	page := filepath.Join(dir, "page.mjs")
	if err := os.WriteFile(page, []byte(strings.Replace(code, was, h.web, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var complaints strings.Builder
	cmd := exec.CommandContext(ctx, "node", page)
	cmd.Stderr = &complaints
	printed, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(printed).ReadString('\n')
	cancel()
	_ = cmd.Wait() // it was killed
	if line != "hello\n" {
		t.Errorf("it printed %q, %v\n%s", line, err, complaints.String())
	}
}

// configured runs a configuration of the document.
func configured(t *testing.T, containing string) hoofbeat {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "hoofbeat.yaml")
	for path, text := range map[string]string{name: block(t, document, "yaml", containing), filepath.Join(dir, "users.yaml"): "[]"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return run(t, nil, "-c", name)
}

// The rules of the document, against clients: each is somebody with roles who
// does one thing.
func TestDocumentRules(t *testing.T) {
	for containing, cases := range map[string][]struct {
		user, role, action, destination string
		allowed                         bool
	}{
		"/topic/chat/**": {
			{"ann", "", "SEND", "/topic/chat/7", true},
			{"ann", "", "SEND", "/topic/greetings", false},
			{"ann", "", "SUBSCRIBE", "/topic/greetings", true},
		},
		"/topic/orders/{user}": {
			{"ann", "", "SEND", "/topic/orders/ann", true},
			{"ann", "", "SEND", "/topic/orders/bob", false},
			{"ann", "", "SEND", "/topic/greetings", false},
			{"ann", "", "SUBSCRIBE", "/topic/orders/*", false},
			{"ann", "", "SUBSCRIBE", "/topic/orders/ann", false},
			{"application", "backend", "SUBSCRIBE", "/topic/orders/*", true},
			{"application", "backend", "SEND", "/topic/greetings", true},
		},
		"/topic/account/{user}": {
			{"ann", "", "SUBSCRIBE", "/user/queue/x", true},
			{"ann", "", "SUBSCRIBE", "/user/bob/queue/x", false},
			{"ann", "", "SUBSCRIBE", "/topic/account/ann", true},
			{"ann", "", "SUBSCRIBE", "/topic/account/bob", false},
			{"ann", "", "SUBSCRIBE", "/topic/staff/a", false},
			{"ann", "STAFF", "SUBSCRIBE", "/topic/staff/a", true},
			{"ann", "STAFF", "SUBSCRIBE", "/topic/other", false},
			{"ann", "STAFF", "SEND", "/topic/staff/a", false},
			{"ann", "STAFF", "SEND", "/user/bob/queue/x", false},
		},
	} {
		h := configured(t, containing)
		for _, c := range cases {
			var ticket struct{ Ticket string }
			h.call(t, "POST", "/api/v1/tickets", map[string]any{"user": c.user, "roles": strings.Fields(c.role)}, &ticket)
			conn := h.dial(t, c.user, "ticket:"+ticket.Ticket+"\n")
			conn.say("%s\nid:s\ndestination:%s\nreceipt:r\n\n\x00", c.action, c.destination)
			if f := conn.next(); f.Get("receipt-id") != "r" || (f.Command == "RECEIPT") != c.allowed {
				t.Errorf("%s of %s (%s) to %s is answered with %s %v", c.action, c.user, c.role, c.destination, f.Command, f.Headers)
			}
		}
	}
}
