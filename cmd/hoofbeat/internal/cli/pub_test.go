package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestPub(t *testing.T) {
	s := newServer(t, broker.Options{})
	env := []string{"HOOFBEAT_URL=" + s.URL, "HOOFBEAT_LOGIN=ann", "HOOFBEAT_PASSCODE=a:b"}
	start(t, strings.NewReader("unread"), env, "pub", "/app/peek", "hello", "-t", "text/plain", "-H", "priority:9", "-H", "x:a:b", "-n", "2").wait(t, exitOK)
	if got, want := s.login(), [2]string{"ann", "a:b"}; got != want {
		t.Errorf("login and passcode %q, want %q", got, want)
	}
	sent := s.seen()
	if len(sent) != 2 {
		t.Fatalf("%d messages, want 2", len(sent))
	}
	f := sent[1]
	if f["body"] != "hello" || f["content-type"] != "text/plain" || f["priority"] != "9" || f["x"] != "a:b" || f["receipt"] == "" {
		t.Errorf("SEND %q", f)
	}
	s.left(t, 1, broker.ReasonDisconnect)
}

func TestPubStandardInput(t *testing.T) {
	s := newServer(t, broker.Options{})
	run(t, exitOK, "one\ntwo\n", "pub", "-u", s.URL, "/app/peek")
	run(t, exitOK, "", "pub", "-u", s.URL, "/app/peek")
	run(t, exitOK, "three\r\n\nfour", "pub", "-u", s.TCP, "/app/peek", "--lines", "--receipt=false")
	run(t, exitOK, "", "pub", "-u", s.URL, "/app/peek", "--lines")
	var got []string
	for _, f := range s.seen() {
		got = append(got, f["body"])
	}
	if want := "one\ntwo\n||three||four"; strings.Join(got, "|") != want {
		t.Errorf("bodies %q, want %q", strings.Join(got, "|"), want)
	}
	if f := s.seen()[3]; f["receipt"] != "" {
		t.Errorf("--receipt=false asked for a receipt: %q", f)
	}
}

// Exit 0 means that the receipt came.
func TestPubWithoutReceiptFails(t *testing.T) {
	s := newServer(t, broker.Options{})
	got := run(t, exitFailure, "", "pub", "-u", s.URL, "/app/hang", "hang", "--timeout", "200ms").err.String()
	contains(t, "pub", got, "no receipt from the server")
}

func TestPubInterrupted(t *testing.T) {
	s := newServer(t, broker.Options{})
	in, typing := io.Pipe()
	defer typing.Close()
	for _, line := range []string{"fine\n", "hang\n"} { // while reading, and while waiting for a receipt
		received := s.Broker.Stats().FramesIn
		c := start(t, in, nil, "pub", "-u", s.URL, "/app/hang", "--lines")
		if _, err := io.WriteString(typing, line); err != nil {
			t.Fatal(err)
		}
		brokertest.Eventually(t, "CONNECT and SEND arrive", func() bool { return s.Broker.Stats().FramesIn >= received+2 })
		c.cancel()
		contains(t, line, c.wait(t, exitInterrupted).err.String(), "interrupted")
		// The command's reader is still in the pipe, as it would be at a terminal.
		if _, err := io.WriteString(typing, "nobody\n"); err != nil {
			t.Fatal(err)
		}
	}
}
