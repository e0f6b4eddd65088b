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
			if len(s.Log("defaults are lower here, since this process may open few files")) == 0 {
				t.Error("the log does not tell of the lower limits")
			}
		})
	}
}
