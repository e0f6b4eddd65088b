package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// sender is a client that sends a header of which the end does not come.
type sender struct {
	net.Conn
	closed bool // by the server; to be read after synctest.Wait
}

func (p *pipes) send(t *testing.T, address, header string) *sender {
	t.Helper()
	s := &sender{Conn: p.dial(t, address)}
	go func() {
		for p := make([]byte, 64); !s.closed; { // small, since the heap is measured
			_, err := s.Read(p)
			s.closed = err != nil
		}
	}()
	if _, err := s.Write([]byte(header)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	return s
}

func open(all []*sender) (n int) {
	for _, s := range all {
		if !s.closed {
			n++
		}
	}
	return n
}

// request returns the status of a request over a new connection.
func (p *pipes) request(t *testing.T, address, text string) int {
	t.Helper()
	c := p.dial(t, address)
	go func() { _, _ = io.WriteString(c, text) }() // the server may refuse it before its end
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = resp.Body.Close() // what it says does not matter
	_ = c.Close()
	return resp.StatusCode
}

const complete = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// Incomplete headers from one address hold no more than is documented, and
// shut out nobody at that address.
func TestIncompleteHeadersOfOneAddress(t *testing.T) {
	const size = 35 << 10
	for name, tc := range map[string]struct {
		header string
		n      int // connections
		open   int // at the end
	}{
		"tiny lines":  {headerOf(size, 5000, func(i int) string { return fmt.Sprintf("%x:", i) }), 1000, 0},
		"many lines":  {headerOf(size, maxHeaderLines, func(i int) string { return fmt.Sprintf("%x:", i) }), 1000, maxHeadersOfOne},
		"a few bytes": {"GET / HTTP/1.1\r\n", 300, maxHeadersOfOne},
		"pipelined":   {complete + headerOf(4000, 700, func(i int) string { return fmt.Sprintf("%x:", i) }), 300, maxHeadersOfOne},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, text, began := tc.n, new(log), time.Now()
				c := newCrowd(65536, 1024, nil, slog.New(slog.NewTextHandler(text, nil)))
				l, stop := serveInMemory(t, c)
				before := testkit.Heap()
				var all []*sender
				for i := range n {
					if i == n-maxHeadersOfOne {
						synctest.Wait() // until the others are counted
					}
					all = append(all, l.send(t, "192.0.2.1", tc.header))
				}
				synctest.Wait()
				held := testkit.Heap() - before
				t.Logf("%d headers hold %d bytes", n, held)
				if most := int64(maxHeadersOfOne*mostHeld + n*4096); held > most { // 4 KiB for each client
					t.Errorf("%d headers hold %d bytes, at most %d may be held", n, held, most)
				}
				if got := open(all); got != tc.open {
					t.Errorf("%d connections are open, want %d", got, tc.open)
				}
				if got := open(all[n-maxHeadersOfOne:]); got != tc.open { // others have been incomplete longer
					t.Errorf("%d of the last connections are open, want %d", got, tc.open)
				}
				if tc.open > 0 && !strings.Contains(text.String(), `too many HTTP requests whose header has not arrived" listener=listen connections=1 remote=192.0.2.1:4711 most=1024 most_of_one_address=64`) {
					t.Errorf("logged is %s", text)
				}
				if strings.Count(text.String(), "\n") > 1 {
					t.Errorf("more than one line is logged: %s", text)
				}
				if status := l.request(t, "192.0.2.1", complete); status != http.StatusNotFound {
					t.Errorf("an honest client gets %d", status)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("it took %v", took)
				}
				stop()
				synctest.Wait()
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.headers.Len() != 0 || len(c.networks) != 0 {
					t.Errorf("%d headers of %d networks are left", c.headers.Len(), len(c.networks))
				}
				runtime.KeepAlive(all)
			})
		})
	}
}

// In all, the address with the most incomplete headers makes room, a proxy
// last.
func TestIncompleteHeadersInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(65536, 1024, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, slog.New(slog.DiscardHandler))
		l, stop := serveInMemory(t, c)
		several := func(n int, address func(i int) string) (all []*sender) {
			for i := range n {
				all = append(all, l.send(t, address(i), "GET / HTTP/1.1\r\n"))
			}
			synctest.Wait()
			return all
		}
		proxied := several(500, func(int) string { return "10.0.0.1" })
		first := l.send(t, "203.0.113.1", "GET / HTTP/1.1\r\n")
		flood := several(maxHeadersOfOne, func(i int) string { return fmt.Sprintf("[2001:db8::%x]", i+1) }) // one /64
		others := several(maxHeaders, func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]", i+1) })
		if n := open(proxied); n != 500 {
			t.Errorf("%d connections of a proxy are open", n)
		}
		// The flood shrinks to one connection, as each of the others has. Then
		// the oldest of them all makes room.
		if n := open(flood); n != 0 || !first.closed {
			t.Errorf("%d connections of a flood are open; the oldest is closed: %v", n, first.closed)
		}
		if n := open(others); n != maxHeaders-500 || others[maxHeaders-1].closed {
			t.Errorf("%d connections of others are open; the last one is closed: %v", n, others[maxHeaders-1].closed)
		}
		if status := l.request(t, "203.0.113.1", complete); status != http.StatusNotFound {
			t.Errorf("an honest client gets %d", status)
		}
		stop()
	})
}

// A header that arrives slowly is served, and counts only until it is complete.
func TestIncompleteHeaderThatArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := anyCrowd()
		l, stop := serveInMemory(t, c)
		conn := l.dial(t, "192.0.2.1")
		answers := bufio.NewReader(conn)
		for range 3 { // over one connection
			for part := range strings.SplitAfterSeq("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", "\n") {
				if n := c.incompleteNow(); n > 1 {
					t.Errorf("%d headers are incomplete", n)
				}
				if _, err := io.WriteString(conn, part); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			if n := c.incompleteNow(); n != 0 {
				t.Errorf("%d headers are incomplete after the end of the only one", n)
			}
			// The lines of the body do not count.
			if _, err := io.WriteString(conn, strings.Repeat("\n", 1000)); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusNotFound {
				t.Errorf("answered with %d, %v", resp.StatusCode, err)
			}
			synctest.Wait()
			if n := c.incompleteNow(); n != 0 {
				t.Errorf("%d headers are incomplete while the client sends nothing", n)
			}
		}
		_ = conn.Close()
		stop()
	})
}

func (c *crowd) incompleteNow() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers.Len()
}

// A request has at most so many header lines, whether it arrives at once or
// not.
func TestHeaderLinesAreBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		size, lines, want int
	}{
		"at once":                     {0, maxHeaderLines, http.StatusNotFound},
		"at once, one more":           {0, maxHeaderLines + 1, http.StatusRequestHeaderFieldsTooLarge},
		"in several reads":            {30 << 10, maxHeaderLines, http.StatusNotFound},
		"in several reads, one more":  {30 << 10, maxHeaderLines + 1, http.StatusRequestHeaderFieldsTooLarge},
		"in several reads, many more": {30 << 10, 5000, http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, stop := serveInMemory(t, newCrowd(config.Off, config.Off, nil, slog.New(slog.DiscardHandler)))
				text := headerOf(tc.size, tc.lines, func(i int) string { return fmt.Sprintf("%x:", i) }) + "\r\n"
				if status := l.request(t, "192.0.2.1", text); status != tc.want {
					t.Errorf("answered with %d, want %d", status, tc.want)
				}
				stop()
			})
		})
	}
}
