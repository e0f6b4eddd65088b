package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// pipes is a listener of connections in memory. A Write to one of them returns
// when the server has read it.
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

// A connection whose request has not arrived completely holds what is
// documented, whatever the header.
func TestUnfinishedHeadersHoldWhatIsDocumented(t *testing.T) {
	const n, most = 20, 768 << 10
	lines := func(line func(i int) string) string {
		var b strings.Builder
		b.WriteString("GET /ws HTTP/1.1\r\nHost: localhost\r\n")
		for i := 0; b.Len() < 35<<10; i++ {
			b.WriteString(line(i))
		}
		return b.String()
	}
	for name, header := range map[string]string{
		"one value":   lines(func(int) string { return "x" })[:34<<10],
		"tiny names":  lines(func(i int) string { return fmt.Sprintf("%x:\r\n", i) }),
		"equal names": lines(func(int) string { return "a:\r\n" }),
		"cookies":     lines(func(int) string { return "Cookie: a=b\r\n" }),
	} {
		t.Run(name, func(t *testing.T) {
			a := &App{}
			l := &pipes{arriving: make(chan net.Conn), closed: make(chan struct{})}
			d := a.web("listen", l, http.NotFoundHandler(), newCrowd(config.Off, config.Off, nil, slog.New(slog.DiscardHandler)))
			done := make(chan struct{})
			go func() { defer close(done); _ = d.serve() }()
			var clients []net.Conn
			before := testkit.Heap()
			for range n {
				client, server := net.Pipe()
				clients = append(clients, client)
				_ = client.SetDeadline(time.Now().Add(time.Minute))
				select {
				case l.arriving <- server:
				case <-time.After(time.Minute):
					t.Fatal("the server does not accept")
				}
				if _, err := client.Write([]byte(header)); err != nil {
					t.Fatal(err)
				}
			}
			held := (testkit.Heap() - before) / n
			t.Logf("%d bytes of header hold %d", len(header), held)
			if held > most {
				t.Errorf("%d bytes of header hold %d, at most %d may be held", len(header), held, most)
			}
			if held < 16<<10 {
				t.Errorf("only %d bytes are held: the test does not do what it says", held)
			}
			for _, c := range clients {
				_ = c.Close()
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			d.close(ctx)
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Error("the server does not end")
			}
			runtime.KeepAlive(clients)
		})
	}
}
