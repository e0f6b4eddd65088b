//go:build unix

package main

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// One address that begins many requests and ends none keeps a few connections,
// and a neighbour at that address gets in meanwhile.
func TestUnfinishedRequestsShutNobodyOut(t *testing.T) {
	const n, most = 300, 64 // of one address
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	newCertificate(t, cert, key)
	for name, tc := range map[string]struct {
		env  []string
		dial func(address string) (net.Conn, error)
	}{
		"plain": {nil, func(address string) (net.Conn, error) { return net.Dial("tcp", address) }},
		"TLS": {[]string{"HOOFBEAT_TLS_CERT=" + cert, "HOOFBEAT_TLS_KEY=" + key}, func(address string) (net.Conn, error) {
			return tls.Dial("tcp", address, insecurely)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tc.env)
			_, address, _ := strings.Cut(s.web(), "://")
			ended := make(chan error, n)
			for range n {
				c, err := tc.dial(address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() }) // the broker may have closed it
				if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: localhost\r\n"); err != nil {
					t.Fatal(err)
				}
				go func() {
					_, err := io.Copy(io.Discard, c)
					ended <- err
				}()
			}
			for range n - most {
				if err := testkit.Receive(t, ended); err != nil && strings.Contains(err.Error(), "timeout") {
					t.Fatal(err)
				}
			}
			wantEntry(t, s, "connections were closed: too many HTTP requests whose header has not arrived",
				map[string]any{"listener": "listen", "remote": "127.0.0.1:", "most": 1024, "most_of_one_address": most})
			if _, err := dial(t, s.url, client.Options{TLS: insecurely}); err != nil {
				t.Errorf("the neighbour: %v", err)
			}
		})
	}
}

// Requests with very many header lines are refused, since each line takes much
// more memory than its text.
func TestRequestsOfManyLinesAreRefused(t *testing.T) {
	s := serve(t, nil)
	c, err := net.Dial("tcp", strings.TrimPrefix(s.web(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("a:\r\n", 201)+"\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") || !strings.Contains(string(answer), "The request has more than 200 header lines.") {
		t.Errorf("answered with %q, %v", answer, err)
	}
	wantEntry(t, s, "an HTTP request was refused: too many header lines", map[string]any{"listener": "listen", "remote": "127.0.0.1", "most": 200})
}
