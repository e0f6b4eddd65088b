package main

import (
	"net/http/httptest"
	"os"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

const install = "npm install --prefix examples"

// TestChat drives the page in Chromium. SCREENSHOT names a file to keep a
// picture of it.
func TestChat(t *testing.T) {
	e2e.Need(t, "../node_modules/@stomp/stompjs", install)
	e2e.Need(t, "../node_modules/playwright-core", install)
	e2e.Need(t, "/usr/bin/chromium", "apt-get install chromium")
	b, err := newBroker()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	srv := httptest.NewServer(routes(b, "../node_modules"))
	defer srv.Close()
	args := []string{"browser.mjs", srv.URL}
	if path := os.Getenv("SCREENSHOT"); path != "" {
		args = append(args, path)
	}
	if out := e2e.Run(t, "install Node.js", "node", args...); out != "ok\n" {
		t.Errorf("it printed %q", out)
	}
}

// TestSenderIsNotForged: whoever a page says it is, the broker says who it was.
func TestSenderIsNotForged(t *testing.T) {
	b, err := newBroker()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	alice := brokertest.Connect(t, b, "login", "alice")
	mallory := brokertest.Connect(t, b, "login", "mallory")
	alice.Subscribe(t, "p", "/user/queue/private")
	mallory.Send("SEND", `{"from":"bob","to":"alice","text":"psst"}`, "destination", "/app/private")
	if m := alice.Expect(t, "MESSAGE"); string(m.Body) != `{"from":"mallory","to":"alice","text":"psst"}` {
		t.Errorf("alice got %s", m.Body)
	}
	mallory.Send("SEND", "{}", "destination", "/user/alice/queue/private")
	if e := mallory.Expect(t, "ERROR"); e.Get("message") == "" {
		t.Error("sending to a user directly was refused without a word")
	}
}
