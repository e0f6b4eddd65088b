//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// While a store is recovered, which can take long, the admin listener says so,
// clients find no listener, and systemd is asked for time. Here a file that the
// engine reads is a pipe, so that the recovery takes as long as the test wants.
func TestReadinessDuringTheRecovery(t *testing.T) {
	base := t.TempDir()
	dir, socket := filepath.Join(base, "store"), filepath.Join(base, "notify")
	s := serve(t, nil, "--store-dir", dir)
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	slow := filepath.Join(dir, "jetstream/$G/streams/KV_HB_STATE/msgs/index.db")
	if err := os.Remove(slow); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(slow, 0o600); err != nil {
		t.Fatal(err)
	}
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = systemd.Close() }) // the test has ended
	hear := func() string {
		t.Helper()
		if err := systemd.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := systemd.Read(b)
		if err != nil {
			t.Fatalf("systemd hears nothing: %v", err)
		}
		return string(b[:n])
	}
	p := start(t, []string{"HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=127.0.0.1:0", "HOOFBEAT_ADMIN_TOKEN=" + testToken, "NOTIFY_SOCKET=" + socket}, "serve", "--store-dir", dir)
	address, _ := p.Logged(t, "opening the store", 1)["admin"].(string)
	admin := "http://" + address
	if text := hear(); !strings.HasPrefix(text, "STATUS=recovering the store") || !strings.Contains(text, "\nEXTEND_TIMEOUT_USEC=60000000") {
		t.Errorf("systemd hears %q", text)
	}
	brokertest.Eventually(t, "/readyz says how far it is", func() bool {
		status, body := get(t, admin+"/readyz?verbose")
		var v struct{ Reasons []string }
		if err := json.Unmarshal([]byte(body), &v); err != nil || status != http.StatusServiceUnavailable || len(v.Reasons) != 1 || !strings.HasPrefix(v.Reasons[0], "recovering the store") {
			t.Fatalf("/readyz: HTTP %d %s", status, body)
		}
		var done, of int
		n, _ := fmt.Sscanf(v.Reasons[0], "recovering the store: %d of %d streams, for", &done, &of) // how many it has read is n
		return n == 2 && of > 1 && done == of-1
	})
	if status, _ := get(t, admin+"/livez"); status != http.StatusOK {
		t.Errorf("/livez: HTTP %d", status)
	}
	if status, body := get(t, admin+"/api/v1/stats"); status != http.StatusServiceUnavailable || !strings.Contains(body, "recovering the store") {
		t.Errorf("stats: HTTP %d %s", status, body)
	}
	if listening := p.Log("listening"); len(listening) > 0 {
		t.Errorf("a listener is open before the store: %v", listening)
	}
	f, err := os.OpenFile(slow, os.O_WRONLY, 0) // nothing is in it: the engine reads the messages instead
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for text := hear(); text != "READY=1"; text = hear() {
		if !strings.HasPrefix(text, "STATUS=") {
			t.Errorf("systemd hears %q", text)
		}
	}
	if status, body := get(t, admin+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz afterwards: HTTP %d %s", status, body)
	}
	p.Signal(t, syscall.SIGTERM)
	p.Exit(t, 0)
}

// If the store cannot be opened, nothing keeps the address of the admin
// listener.
func TestTheAdminListenerOfAFailedStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := run(t, 1, []string{"HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=" + l.Addr().String()}, "serve", "--store-dir", filepath.Join(t.TempDir(), "store"))
	if text := p.Stderr(); !strings.Contains(text, "admin: "+l.Addr().String()+": ") || !strings.Contains(text, "another program has the port") {
		t.Errorf("%q", text)
	}
}
