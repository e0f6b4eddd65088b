package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/bench"
)

var benchBriefly = []string{"--warmup", "0s", "--duration", "300ms"}

func TestBench(t *testing.T) {
	rules, err := auth.Open().Prepend(auth.Rule{
		Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/user/*/queue/bench", AnyUser: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	history := []broker.History{{Destination: "/topic/bench-history/**", Messages: 500}}
	s := brokertest.Start(t, broker.Options{Authorizer: rules, History: history})
	for _, c := range []struct {
		args string
		unit string
	}{
		{"fanout --subscribers 3 --publishers 2 --window 20", "deliveries"},
		{"slow --subscribers 3 --stalled 1 --rate 100", "deliveries"},
		{"pairs --pairs 2 --rate 100 --size 40", "deliveries"},
		{"users --users 2 --rate 100", "deliveries"},
		{"queues --producers 1 --consumers 2 --ack client --rate 100", "deliveries"},
		{"receipts --connections 2 --window 2", "receipts"},
		{"connect --cycle --parallel 2 --duration 1s", "cycles"},
		{"idle --connections 4 --hold 200ms --heartbeat 0s --subscribe=false", "connections"},
		{"history --subscribers 2", "deliveries"},
		{"replay --messages 300 --rounds 1 --clients 0", "messages"},
		{"replay --messages 0 --clients 3 --behind 20", "messages"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := append([]string{"bench"}, strings.Fields(c.args)...)
			name := args[1]
			all := append(append([]string{"bench", name, "-u", s.URL}, benchBriefly...), args[2:]...)
			got := run(t, exitOK, "", append(all, "--json")...)
			var r bench.Result
			if err := json.Unmarshal([]byte(got.out.String()), &r); err != nil || strings.Count(got.out.String(), "\n") != 1 {
				t.Fatalf("%v in %q", err, got.out.String())
			}
			if r.Scenario != name || r.Verdict != "PASS" || r.Unit != c.unit || r.URL != s.URL {
				t.Errorf("%+v", r)
			}
			contains(t, "progress", got.err.String(), cmp.Or(map[string]string{"idle": "holding\n", "replay": "back\n"}[name], "measuring\n"))
		})
	}
	table := run(t, exitOK, "", append([]string{"bench", "pairs", "--pairs", "1", "--rate", "100", "-u", s.URL + "?ticket=secret"}, benchBriefly...)...)
	contains(t, "table", table.out.String(), "pairs PASS  "+s.URL+"\n")
	if strings.Contains(table.out.String(), "secret") {
		t.Errorf("the ticket is in %s", table.out.String())
	}
}

func TestBenchInterrupted(t *testing.T) {
	s := brokertest.Start(t, broker.Options{})
	c := start(t, nil, []string{"HOOFBEAT_URL=" + s.URL}, "bench", "fanout", "--subscribers", "2", "--rate", "100", "--warmup", "0s", "--duration", "1h")
	brokertest.Eventually(t, "it measures", func() bool { return strings.Contains(c.err.String(), "measuring\n") })
	c.cancel()
	code := testkit.Receive(t, c.done)
	contains(t, "out", c.out.String(), "fanout PASS (interrupted)")
	contains(t, "err", c.err.String(), "hoofbeat: interrupted\n")
	if code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

func TestBenchErrors(t *testing.T) {
	s := newServer(t, broker.Options{})
	for _, c := range []struct {
		code int
		args string
		want string
	}{
		{exitUsage, "fanout --subscribers -1", "subscribers -1: want 1 to"},
		{exitUsage, "fanout --duration 0s", "--duration 0s is not positive"},
		{exitUsage, "fanout --size 31", "size 31: want 32"},
		{exitUsage, "fanout x", `unexpected argument "x"`},
		{exitUsage, "idle --heartbeat -1s", "--heartbeat -1s is negative"},
		{exitUsage, "replay --messages -1", "--messages -1 is negative"},
		{exitFailure, "history --subscribers 1 -u " + s.URL, "has no history"},
		{exitUsage, "queues --ack none", `ack "none": want auto, client or client-individual`},
		{exitUsage, "users --login ann", `login "ann": want a %d`},
		{exitUsage, "pairs -u http://127.0.0.1/", `URL scheme "http"`},
		{exitFailure, "pairs -u ws://127.0.0.1:1/ws", "connection refused"},
		{exitRefused, "pairs --login eve -u " + s.URL, "server refused CONNECT: login or passcode refused"},
		{exitRefused, "receipts -u " + s.URL + "?status=403", "HTTP 403"},
		{exitRefused, "users --users 2 -u " + s.URL, "see hoofbeat bench users --help"},
		{exitFailure, "fanout --subscribers 2 --timeout 50ms --login mute -u " + s.URL, "no answer within 50ms"},
	} {
		got := run(t, c.code, "", append([]string{"bench"}, strings.Fields(c.args)...)...).err.String()
		contains(t, c.args, got, c.want)
	}
}

// The help names every field of the JSON object, and every command has examples.
func TestBenchHelp(t *testing.T) {
	text := run(t, exitOK, "", "bench").out.String()
	for _, want := range []string{"Examples:\n  hoofbeat bench fanout", defaultURL, "Exit codes:"} {
		contains(t, "bench", text, want)
	}
	for _, name := range []string{"fanout", "slow", "pairs", "users", "queues", "receipts", "connect", "idle", "flood", "history", "replay"} {
		text := run(t, exitOK, "", "bench", name, "--help").out.String()
		contains(t, name, text, "Examples:\n  hoofbeat bench "+name)
		contains(t, name, text, benchExit)
		for _, field := range jsonNames(reflect.TypeFor[bench.Result]()) {
			contains(t, name, text, field)
		}
	}
	contains(t, "users", run(t, exitOK, "", "bench", "users", "--help").out.String(), `- {allow: [send], destination: "/user/*/queue/bench", any_user: true}`)
}

func jsonNames(t reflect.Type) (names []string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			panic(fmt.Sprintf("%s has no JSON name", f.Name))
		}
		names = append(append(names, name), jsonNames(f.Type)...)
	}
	return names
}
