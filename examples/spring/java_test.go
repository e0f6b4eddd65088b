package spring_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

const (
	packages = "apt-get install --no-install-recommends default-jdk-headless libspring-messaging-java libspring-web-java libjackson2-databind-java"
	sources  = "src/main/java/com/example/greeting/"
)

// compiled are the sources that need no more of Spring than Debian has: Spring
// Framework 4.3 without spring-websocket and Spring Boot.
var compiled = []string{"Greeting", "Hello", "GreetingController", "Door", "HoofbeatApi", "DirectController"}

// java compiles them and returns what runs testdata/Drive.java.
func java(t *testing.T) func(args ...string) []string {
	t.Helper()
	classes := t.TempDir()
	path := []string{classes}
	for _, name := range []string{
		"spring3-messaging", "spring3-web", "spring3-context", "spring3-core", "spring3-beans", "spring3-aop", "spring3-expression",
		"commons-logging", "jackson-core", "jackson-databind", "jackson-annotations",
	} {
		jar := "/usr/share/java/" + name + ".jar"
		e2e.Need(t, jar, packages)
		path = append(path, jar)
	}
	cp := strings.Join(path, string(filepath.ListSeparator))
	args := []string{"-Werror", "-Xlint:all,-path,-processing,-classfile,-serial", "-encoding", "UTF-8", "-parameters", "-cp", cp, "-d", classes, "testdata/Drive.java"}
	for _, name := range compiled {
		args = append(args, sources+name+".java")
	}
	e2e.Run(t, packages, "javac", args...)
	return func(args ...string) []string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
		defer cancel()
		var complaints strings.Builder
		cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx128m", "-Dfile.encoding=UTF-8", "-cp", cp, "com.example.greeting.Drive"}, args...)...)
		cmd.Stderr = &complaints // Spring's log, too
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("java: %v\n%s\n%s", err, out, complaints.String())
		}
		return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	}
}

// What Spring makes of the page's frames by the annotations of the controller,
// sent on by the relay: which connection a message goes out on, its destination
// and its headers are Spring's own words.
func TestController(t *testing.T) {
	run := java(t)
	h := serve(t)
	node, page := h.relay(t, "system"), h.relay(t, "pages")
	direct := subscribe(t, h.direct(t, "ann"), "/topic/greetings")
	page.say("SUBSCRIBE\nid:all\ndestination:/topic/greetings\n\n\x00")

	door, relayed := map[string]string{}, 0
	for _, line := range run("spring") {
		var m struct {
			To, Type, Session, Subscription, Destination, Payload string
			ContentType                                           string `json:"content_type"`
			Headers                                               map[string][]string
			Subscribe, Send                                       bool
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		var native strings.Builder
		for name, values := range m.Headers {
			native.WriteString(name + ":" + values[0] + "\n")
		}
		on := node
		if m.Session != "" {
			on = page
		}
		switch {
		case m.To == "door":
			door[m.Destination] = map[bool]string{true: "subscribe"}[m.Subscribe] + map[bool]string{true: "send"}[m.Send]
		case m.To == "page": // of @SubscribeMapping: the broker never hears of it
			if m.Subscription != "welcome" || m.Payload != `{"text":"Welcome."}` {
				t.Errorf("the page is sent %s", line)
			}
		case m.Type == "SUBSCRIBE":
			on.say("SUBSCRIBE\nid:%s\n%sdestination:%s\n\n\x00", m.Subscription, native.String(), m.Destination)
			relayed++
		case m.Type == "MESSAGE":
			on.say("SEND\n%sdestination:%s\ncontent-type:%s\ncontent-length:%d\n\n%s\x00", native.String(), m.Destination, m.ContentType, len(m.Payload), m.Payload)
			page.want(map[bool]string{true: "all", false: "sub-0"}[m.Destination == "/topic/greetings"], m.Payload)
			relayed++
		}
	}
	for _, want := range []string{`{"text":"Hello, Ann!"}`, `{"text":"Good morning."}`} {
		if m := testkit.Receive(t, direct); m.Err != nil || string(m.Body) != want {
			t.Errorf("a page of Hoofbeat itself got %q, %v, want %q", m.Body, m.Err, want)
		}
	}
	if relayed != 4 {
		t.Errorf("%d frames were relayed, want 4", relayed)
	}
	for destination, want := range map[string]string{
		"/topic/greetings": "subscribe", "/user/queue/replies": "subscribe", "/app/hello": "send", "/app/welcome": "subscribesend",
		"/topic/**": "", "/topic/simp-user-registry": "", "/queue/replies-users1": "", "/queue/**": "", "/user/bob/queue/replies": "",
	} {
		if got, ok := door[destination]; !ok || got != want {
			t.Errorf("at the door of %s: %q, want %q", destination, got, want)
		}
	}
}

// DirectController and HoofbeatApi against the binary: a message for all, one
// for a user with an awkward name, a ticket, and an error that says what was
// wrong.
func TestDirectController(t *testing.T) {
	run := java(t)
	h := serve(t)
	const user = "ann +/%"
	c := h.direct(t, user)
	all, own := subscribe(t, c, "/topic/greetings"), subscribe(t, c, "/user/queue/replies")
	printed := run("api", h.admin, token)
	for _, x := range []struct {
		from <-chan *stomp.Message
		want string
	}{{all, `{"text":"Hello, all č!"}`}, {own, `{"text":"All have heard it."}`}} {
		if m := testkit.Receive(t, x.from); m.Err != nil || string(m.Body) != x.want || m.ContentType != "application/json" {
			t.Errorf("got %q as %s, %v, want %q", m.Body, m.ContentType, m.Err, x.want)
		}
	}
	if len(printed) != 2 {
		t.Fatalf("it printed %q", printed)
	}
	h.withTicket(t, printed[0], user)
	if !strings.HasPrefix(printed[1], "HTTP 4") || !strings.Contains(printed[1], "destination") {
		t.Errorf("of a bad destination it says %q", printed[1])
	}
}
