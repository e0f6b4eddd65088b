//go:build !nostore

package embedded_test

import (
	"net"
	"regexp"
	"sync"
	"testing"
)

// wires are the connections between nodes: each node has an address that stays
// the same, whatever port it listens on.
type wires struct {
	mu    sync.Mutex
	conns map[*wire]bool
	group sync.WaitGroup
}

// wire is a connection to a node.
type wire struct {
	a, b net.Conn
	to   string
	from string // known when the other node has shown its name
}

func (w *wire) close() {
	_ = w.a.Close()
	_ = w.b.Close()
}

func newWires(t *testing.T) *wires {
	w := &wires{conns: make(map[*wire]bool)}
	t.Cleanup(func() {
		w.mu.Lock()
		for c := range w.conns {
			c.close()
		}
		w.mu.Unlock()
		w.group.Wait()
	})
	return w
}

// address returns the address of a node that listens where addr says.
func (w *wires) address(t *testing.T, name string, addr func() string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w.group.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			w.group.Go(func() { w.connect(a, name, addr()) })
		}
	})
	return l.Addr().String()
}

func (w *wires) connect(a net.Conn, to, addr string) {
	b, err := net.Dial("tcp", addr)
	if err != nil {
		_ = a.Close()
		return
	}
	c := &wire{a: a, b: b, to: to}
	w.add(c, "")
	var both sync.WaitGroup
	both.Go(func() { w.copy(c, b, a, true) })
	both.Go(func() { w.copy(c, a, b, false) })
	both.Wait()
	w.mu.Lock()
	delete(w.conns, c)
	w.mu.Unlock()
}

// add keeps a connection, and who is at its other end.
func (w *wires) add(c *wire, from string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = true
	c.from = from
}

var shown = regexp.MustCompile(`hoofbeat1:[a-z]+:[^:"]*:([^"]+)"`)

func (w *wires) copy(c *wire, to, from net.Conn, dialled bool) {
	defer c.close()
	data := make([]byte, 64<<10)
	for unknown := dialled; ; {
		n, err := from.Read(data)
		if m := shown.FindSubmatch(data[:n]); unknown && m != nil {
			unknown = false
			w.add(c, string(m[1]))
		}
		if err != nil {
			return
		}
		if _, err := to.Write(data[:n]); err != nil {
			return
		}
	}
}
