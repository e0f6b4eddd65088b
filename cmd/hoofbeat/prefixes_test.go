//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// pageOf runs testdata/prefixes.mjs, which ends with its test.
func pageOf(t *testing.T, s *server, subscribe map[string]string, send ...string) *process.Output {
	t.Helper()
	node := needs(t, "node", "apt-get install nodejs npm")
	for _, module := range []string{"@stomp/stompjs", "ws"} {
		if _, err := os.Stat("../../examples/node_modules/" + module); err != nil {
			missing(t, module, "npm install --prefix examples")
		}
	}
	argument, err := json.Marshal(map[string]any{"url": s.url, "subscribe": subscribe, "send": append([]string{}, send...)})
	if err != nil {
		t.Fatal(err)
	}
	out := new(process.Output)
	cmd := exec.Command(node, "testdata/prefixes.mjs", string(argument))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		testkit.Receive(t, ended)
	})
	return out
}

// wantLines waits until these lines are there, in any order, and no others.
func wantLines(t *testing.T, out *process.Output, want ...string) {
	t.Helper()
	slices.Sort(want)
	lines := func() []string { return slices.Sorted(strings.Lines(out.String())) }
	brokertest.Eventually(t, fmt.Sprintf("the page prints %d lines, has printed %q", len(want), lines()), func() bool { return len(lines()) >= len(want) })
	if got := lines(); !slices.Equal(got, want) {
		t.Errorf("the page printed\n%s\nwant\n%s", strings.Join(got, ""), strings.Join(want, ""))
	}
}

// A page of Spring's with prefixes of its own, and the configuration that it needs.
func TestConfiguredPrefixes(t *testing.T) {
	file := write(t, "hoofbeat.yaml", `
destinations: {topic: [/topic, /events], queue: [/queue], app: [/app, /ws], user: /user}
rules:
  - {deny: [subscribe], destination: "/events/secret"}
  - {allow: [send], destination: "/user/bob/messages", any_user: true}
`)
	run(t, 0, nil, "config", "check", "-c", file)
	s := serve(t, nil, "-c", file)
	page := pageOf(t, s, map[string]string{"1": "/events/all", "2": "/user/feed", "3": "/user/events/orders", "4": "/ws/bootstrap"},
		"/events/all", "/user/bob/messages", "/ws/registration")
	brokertest.Eventually(t, "the page is subscribed", func() bool { return strings.Contains(page.String(), "subscribed\n") })
	for destination, body := range map[string]string{"/feed": "for ann", "/events/orders": "an order"} {
		if code := s.call(t, "POST", "/api/v1/users/ann/messages", fmt.Sprintf(`{"destination":%q,"body":%q}`, destination, body), nil); code/100 != 2 {
			t.Errorf("%s: HTTP %d", destination, code)
		}
	}
	if code := s.call(t, "POST", "/api/v1/messages", `{"destination":"/events/all","body":"for all"}`, nil); code/100 != 2 {
		t.Errorf("HTTP %d", code)
	}
	run(t, 0, nil, "pub", "-u", s.url, "/events/all", "from the shell")
	brokertest.Eventually(t, "the page has all", func() bool { return strings.Count(page.String(), "\n") >= 7 })
	for _, want := range []string{
		"1: /events/all: sent to /events/all\n", "1: /events/all: for all\n", "1: /events/all: from the shell\n",
		"2: /user/feed: for ann\n", "3: /user/events/orders: an order\n", `4: /ws/bootstrap: {"user":"ann"`,
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page did not print %q:\n%s", want, page)
		}
	}
	wantLines(t, pageOf(t, s, map[string]string{"1": "/events//secret"}), "ERROR not allowed to subscribe to \"/events//secret\"\n")
	wantLines(t, pageOf(t, s, map[string]string{"1": "/other/x"}),
		"ERROR destination must begin with /topic/, /events/, /queue/, /app/, /ws/ or /user/\n")
}

// With compatibility: spring a page may use whatever prefix it likes, as with Spring's
// simple broker without prefixes; with destinations.topic only those.
func TestSpringTakesAnyPrefix(t *testing.T) {
	s := serve(t, nil, "--compatibility", "spring")
	wantLines(t, pageOf(t, s, map[string]string{"1": "/chat/rooms/1", "2": "/exchange/*"}, "/chat/rooms/1", "/exchange/news"),
		"subscribed\n", "1: /chat/rooms/1: sent to /chat/rooms/1\n", "2: /exchange/news: sent to /exchange/news\n")
	s = serve(t, nil, "--compatibility", "spring", "--destinations-topic", "/topic")
	wantLines(t, pageOf(t, s, map[string]string{"1": "/chat/rooms/1"}), "ERROR destination must begin with /topic/, /queue/, /app/ or /user/\n")

	for args, want := range map[string]string{
		"--destinations-topic=topic":       `prefix "topic" must begin with /`,
		"--destinations-app=/topic":        `prefix "/topic" is given twice`,
		"--queues-transient=/jobs/*-user*": `"/jobs/*-user*" is not accepted`,
	} {
		if p := run(t, 2, nil, "config", "check", args); !strings.Contains(p.Stderr(), want) {
			t.Errorf("config check %s: %q, want %q", args, p.Stderr(), want)
		}
	}
	run(t, 0, nil, "config", "check", "--destinations-queue=/queue,/jobs", "--queues-transient=/jobs/*-user*")
}
