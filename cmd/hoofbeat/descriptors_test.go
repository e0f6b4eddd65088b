//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// withFiles makes the processes of a test run with so few open files.
func withFiles(t *testing.T, n int) {
	t.Helper()
	real, script := process.Binary(t), filepath.Join(t.TempDir(), "limited")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d || exit 1\nexec '%s' \"$@\"\n", n, real)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	program = script
	t.Cleanup(func() { program = "" })
}

// dialFrom connects from one of the addresses of this machine.
func dialFrom(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a request over c and returns the status, 0 for an end.
func ask(c net.Conn, path, headers string) int {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, headers); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close() // what it says does not matter
	return resp.StatusCode
}

const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// More connections from one address than the process may open files shut nobody
// out, neither those that have asked something and wait nor those that say
// nothing: not others, not the neighbour at that address, not the operator.
func TestIdleConnectionsShutNobodyOut(t *testing.T) {
	for name, flood := range map[string]func(t *testing.T, s *server){
		"keep-alive": func(t *testing.T, s *server) {
			to := strings.TrimPrefix(s.web(), "http://")
			for i := range 1100 {
				c := dialFrom(t, "127.0.0.2", to)
				if i < 100 { // there is room for these
					if status := ask(c, "/livez", ""); status != http.StatusOK {
						t.Fatalf("connection %d was answered with %d", i, status)
					}
				} else if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
			}
		},
		"silent": func(t *testing.T, s *server) {
			for range 1100 {
				dialFrom(t, "127.0.0.2", strings.TrimPrefix(s.web(), "http://"))
			}
		},
		"silent over TCP": func(t *testing.T, s *server) {
			for range 1100 {
				dialFrom(t, "127.0.0.2", strings.TrimPrefix(s.tcp, "tcp://"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			withFiles(t, 1024)
			s := serve(t, nil)
			flood(t, s)
			web := strings.TrimPrefix(s.web(), "http://")
			if status := ask(dialFrom(t, "127.0.0.3", web), "/ws", upgrade); status != http.StatusSwitchingProtocols {
				t.Errorf("another address: %d", status)
			}
			if name != "silent over TCP" { // where it has to wait until the silent have had their time
				brokertest.Eventually(t, "the neighbour gets in", func() bool {
					return ask(dialFrom(t, "127.0.0.2", web), "/ws", upgrade) == http.StatusSwitchingProtocols
				})
			}
			c := dialFrom(t, "127.0.0.3", strings.TrimPrefix(s.tcp, "tcp://"))
			if _, err := c.Write([]byte("CONNECT\naccept-version:1.2\nhost:h\n\n\x00")); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "CONNECTED\n" {
				t.Errorf("over TCP: %q, %v", line, err)
			}
			if st := s.stats(t); st.Sessions != 1 {
				t.Errorf("%d sessions", st.Sessions)
			}
			if len(s.Log("defaults are reduced because this process can open few files")) == 0 {
				t.Error("the log does not tell of the lower limits")
			}
		})
	}
}

// A reload says what it does to the limits that fit the open files, and nothing
// if it does nothing to them.
func TestReloadSaysWhichLimitsFit(t *testing.T) {
	const (
		lower = "defaults are reduced because this process can open few files"
		high  = "limits are higher than the number of files that this process can open: lower them, or raise ulimit -n"
	)
	withFiles(t, 1024)
	conf := write(t, "hoofbeat.yaml", "limits: {frame: 32KiB}\n")
	s := serve(t, nil, "-c", conf)
	reloads := 0
	reload := func(text string, wantLower, wantHigh int) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Signal(t, syscall.SIGHUP)
		reloads++
		s.Logged(t, "reloaded", reloads)
		if a, b := len(s.Log(lower)), len(s.Log(high)); a != wantLower || b != wantHigh {
			t.Fatalf("%q: %d lines of lower defaults and %d of high limits, want %d and %d\n%s", text, a, b, wantLower, wantHigh, s.Stderr())
		}
	}
	said := func(message string, n int, want string) {
		t.Helper()
		if got := s.Logged(t, message, n)["limits"]; got != want {
			t.Errorf("line %d says %q, want %q", n, got, want)
		}
	}
	const rest = "limits.connections=256 limits.connections_per_address=128 limits.unauthenticated=128"
	said(lower, 1, rest+" limits.sessions=512 limits.sessions_per_address=256")

	reload("limits: {frame: 32KiB}\n", 1, 0)                   // nothing changes
	reload("limits: {frame: 16KiB, headers: 50}\n", 1, 0)      // nothing that concerns files
	reload("limits: {frame: 16KiB, sessions: 100000}\n", 2, 1) // written out at its default, and kept
	said(high, 1, "limits.sessions=100000")
	said(lower, 2, rest+" limits.sessions_per_address=256")
	reload("limits: {frame: 16KiB, sessions: 100000}\n", 2, 1)
	reload("limits: {sessions: 100}\n", 2, 1) // it fits
	reload("limits: {sessions: 1}\n", 2, 1)
	s.sub(t, nil, "-u", s.url, "/topic/a")
	if p := run(t, 1, nil, "pub", "-u", s.url, "/topic/a", "x"); !strings.Contains(p.Stderr(), "limits.sessions is 1") {
		t.Errorf("a second session: %s", p.Stderr())
	}
	reload("", 3, 1) // the lower default again
	said(lower, 3, rest+" limits.sessions=512 limits.sessions_per_address=256")
	run(t, 0, nil, "pub", "-u", s.url, "/topic/a", "x")
}
