//go:build unix

package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

const unixPolicy = `
auth: {anonymous: true, trusted_proxies: [unix]}
limits: {sessions_per_address: 1}
`

// socketPath is short enough for a socket, whatever the name of the test.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hoofbeat")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "ws.sock")
}

// proxyTo is a reverse proxy in front of a Unix socket. Its clients say in a header
// of their own from which address they come.
func proxyTo(t *testing.T, socket string) string {
	t.Helper()
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "broker"})
			r.Out.Host = r.In.Host
			r.Out.Header.Set("X-Forwarded-For", r.In.Header.Get("From-Address"))
		},
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}},
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http") + "/ws"
}

func fromAddress(a string) client.Options {
	return client.Options{Header: http.Header{"From-Address": {a}}}
}

// A proxy on this machine reaches the broker through a Unix socket, and the limits
// of an address are those of the clients behind it.
func TestListenOnAUnixSocket(t *testing.T) {
	socket := socketPath(t)
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false) // as a process that was killed
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	conf := write(t, "hoofbeat.yaml", unixPolicy)
	s := serve(t, []string{"HOOFBEAT_LISTEN=unix:" + socket, "HOOFBEAT_TCP=off"}, "-c", conf)
	if info, err := os.Lstat(socket); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the socket is %v (%v), want mode 0660", info, err)
	}

	// Another broker neither takes the socket nor removes it.
	other := run(t, 1, []string{"HOOFBEAT_LISTEN=unix:" + socket, "HOOFBEAT_TCP=off", "HOOFBEAT_ADMIN=off"}, "serve", "-c", conf)
	if !strings.Contains(other.Stderr(), "another program listens on "+socket) {
		t.Errorf("the second broker says %s", other.Stderr())
	}

	at := proxyTo(t, socket)
	connectAs(t, "", at, fromAddress("203.0.113.5"))
	connectAs(t, "", at, fromAddress("203.0.113.6"))
	refused(t, http.StatusTooManyRequests, at, fromAddress("203.0.113.5"))
	if record := s.Logged(t, "refused by a limit", 1); record["remote"] != "203.0.113.5:0" || record["limit"] != "limits.sessions_per_address" {
		t.Errorf("logged %v", record)
	}

	// Whether the proxy is believed is looked at anew by a reload.
	if err := os.WriteFile(conf, []byte(strings.Replace(unixPolicy, "[unix]", "[]", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	s.Logged(t, "reloaded", 1)
	connectAs(t, "", at, fromAddress("203.0.113.5")) // it has no address now

	s.Stop(t)
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// What is no socket is not replaced, and a socket for a proxy is no development
// mode.
func TestUnixSocketsThatAreRefused(t *testing.T) {
	file := write(t, "file", "precious")
	env := []string{"HOOFBEAT_ADMIN=off", "HOOFBEAT_TCP=off", "HOOFBEAT_AUTH_ANONYMOUS=true"}
	p := run(t, 1, append(env, "HOOFBEAT_LISTEN=unix:"+file), "serve")
	if !strings.Contains(p.Stderr(), file+" is there already, and is no socket") {
		t.Errorf("a file is in the way: %s", p.Stderr())
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
	for setting, want := range map[string]string{
		"HOOFBEAT_AUTH_ANONYMOUS=false":       "nobody would be authenticated",
		"HOOFBEAT_LISTEN=unix:relative":       "an absolute path",
		"HOOFBEAT_LISTEN=unix:/" + long(200):  "at most 103 bytes",
		"HOOFBEAT_ADMIN=unix:/admin.sock":     "want host:port",
		"HOOFBEAT_AUTH_TRUSTED_PROXIES=/unix": "or unix",
	} {
		p := run(t, 2, append(env, "HOOFBEAT_LISTEN=unix:"+socketPath(t), setting), "serve")
		if !strings.Contains(p.Stderr(), want) {
			t.Errorf("%s: %s", setting, p.Stderr())
		}
	}
	p = run(t, 2, append(env, "HOOFBEAT_AUTH_TRUSTED_PROXIES=unix"), "config", "check")
	if !strings.Contains(p.Stderr(), "unix has no effect: listen is 127.0.0.1:8080") {
		t.Errorf("unix without a socket: %s", p.Stderr())
	}
	p = run(t, 0, append(env, "HOOFBEAT_LISTEN=unix:"+socketPath(t)), "config", "check")
	if !strings.Contains(p.Stdout()+p.Stderr(), "clients behind the socket of listen have no address") {
		t.Errorf("a socket without trust: %s%s", p.Stdout(), p.Stderr())
	}
}

func long(n int) string { return strings.Repeat("x", n) }
