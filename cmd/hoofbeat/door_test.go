//go:build unix

package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// door is an address that is known before the broker listens, for what must be
// registered elsewhere: a redirect URL, a proxy. It passes connections on as they
// are and keeps its port from the beginning to the end of the test.
type door struct {
	address string
	opened  chan struct{} // closed when to is known
	to      string

	mu    sync.Mutex
	conns []net.Conn
	shut  bool
}

func newDoor(t *testing.T) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{address: l.Addr().String(), opened: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if d.keep(in) {
				all.Go(func() { d.pass(in) })
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		d.close()
		testkit.Wait(t, &all)
	})
	return d
}

// leadTo opens the door to a broker, which is known by the door's address from then
// on.
func (d *door) leadTo(s *server) *server {
	d.to = strings.TrimPrefix(s.web(), "http://")
	s.url = strings.Replace(s.url, d.to, d.address, 1)
	close(d.opened)
	return s
}

// keep remembers a connection, to close it at the end.
func (d *door) keep(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		_ = c.Close()
		return false
	}
	d.conns = append(d.conns, c)
	return true
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for _, c := range d.conns {
		_ = c.Close() // it may have ended
	}
	select {
	case <-d.opened:
	default:
		close(d.opened) // nobody was led anywhere
	}
}

// pass copies what either side sends to the other until one of them is done.
func (d *door) pass(in net.Conn) {
	defer in.Close()
	<-d.opened
	out, err := net.Dial("tcp", d.to)
	if err != nil || !d.keep(out) {
		return
	}
	defer out.Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(out, in) // its end is the connection's
		_ = out.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(in, out)
	_ = in.Close() // the broker has ended it
	<-done
}
