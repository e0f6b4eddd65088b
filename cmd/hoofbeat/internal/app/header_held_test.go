package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// pipes is a listener of connections in memory.
type pipes struct {
	arriving chan net.Conn
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.arriving:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// fromAddress is a connection in memory whose client has an address.
type fromAddress struct {
	net.Conn
	remote net.Addr
}

func (c *fromAddress) RemoteAddr() net.Addr { return c.remote }

// dial connects from an IP address, or without one as on a Unix socket.
func (p *pipes) dial(t *testing.T, address string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	if address != "" {
		server = &fromAddress{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address + ":4711"))}
	}
	select {
	case p.arriving <- server:
	case <-time.After(time.Minute):
		t.Fatal("the server does not accept")
	}
	return client
}

// serveInMemory starts a server with the limits of a crowd.
func serveInMemory(t *testing.T, c *crowd) (l *pipes, stop func()) {
	quiet := slog.New(slog.DiscardHandler)
	a := &App{away: &turnedAway{log: quiet}}
	l = &pipes{arriving: make(chan net.Conn), closed: make(chan struct{})}
	d := a.web("listen", l, http.NotFoundHandler(), c)
	done := make(chan struct{})
	go func() { defer close(done); _ = d.serve() }()
	return l, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		d.close(ctx)
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Error("the server does not end")
		}
	}
}

func anyCrowd() *crowd {
	return newCrowd(config.Off, config.Off, nil, slog.New(slog.DiscardHandler))
}

// headerOf returns an incomplete header of n equally long lines.
func headerOf(size, n int, line func(i int) string) string {
	var b strings.Builder
	b.WriteString("GET /ws HTTP/1.1\r\nHost: localhost\r\n")
	for i := range n {
		text := line(i)
		b.WriteString(text)
		b.WriteString(strings.Repeat("x", max(0, (size-b.Len())/(n-i)-len(text)-2)))
		b.WriteString("\r\n")
	}
	return b.String()
}

// mostHeld is what docs/limits.md says that an incomplete header holds.
const mostHeld = 96 << 10

// A connection whose request has not arrived completely holds what is
// documented, whatever the header.
func TestUnfinishedHeadersHoldWhatIsDocumented(t *testing.T) {
	const n, size = 100, 35 << 10
	for name, header := range map[string]string{
		"one value":    headerOf(size, 1, func(int) string { return "a: " }),
		"no line end":  strings.TrimSpace(headerOf(size, 1, func(int) string { return "a: " })),
		"two values":   headerOf(size, 2, func(i int) string { return fmt.Sprintf("%x: ", i) }),
		"other names":  headerOf(size, maxHeaderLines, func(i int) string { return fmt.Sprintf("%x: ", i) }),
		"equal names":  headerOf(size, maxHeaderLines, func(int) string { return "a: " }),
		"long names":   headerOf(size, maxHeaderLines, func(i int) string { return strings.Repeat("n", 160) + fmt.Sprintf("%x:", i) }),
		"cookies":      headerOf(size, maxHeaderLines, func(int) string { return "Cookie: a=b" }),
		"not one line": "GET /" + strings.Repeat("x", size),
		"no body":      headerOf(size, maxHeaderLines-1, func(i int) string { return fmt.Sprintf("%x: ", i) }) + "Content-Length: 9\r\n\r\n",
		"pipelined":    complete + headerOf(4000, 790, func(i int) string { return strconv.FormatInt(int64(i)+400, 36) + ":" }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, stop := serveInMemory(t, anyCrowd())
				before := testkit.Heap()
				var all []*sender
				for range n {
					all = append(all, l.send(t, "", header))
				}
				synctest.Wait()
				held := (testkit.Heap() - before) / n
				t.Logf("%d bytes of header hold %d", len(header), held)
				if held > mostHeld {
					t.Errorf("%d bytes of header hold %d, at most %d may be held", len(header), held, mostHeld)
				}
				if held < 16<<10 {
					t.Errorf("only %d bytes are held: the test does not do what it says", held)
				}
				for _, s := range all {
					_ = s.Close()
				}
				stop()
			})
		})
	}
}
