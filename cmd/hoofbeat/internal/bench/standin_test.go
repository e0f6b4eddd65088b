package bench

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// standIn is a tiny server that sends what comes to a destination to its
// subscribers, and does one thing wrong: to the message fault.at of each
// publisher on its way to the first subscriber.
type standIn struct {
	url   string
	fault func(message []byte, next []byte) [][]byte // of two messages in a row
	at    int
	deny  bool // answers SEND with ERROR and does not close

	mu          sync.Mutex
	subscribers []*peer
	seen        int
	held        []byte
}

type peer struct {
	net.Conn
	destination string
	mu          sync.Mutex
}

func (p *peer) send(frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.Write(frame) // the client notices when it failed
}

// faultAt is far enough from the beginning and the end of the shortest run.
const faultAt = 20

func newStandIn(t *testing.T, fault func(message, next []byte) [][]byte) *standIn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{url: "tcp://" + l.Addr().String(), fault: fault, at: faultAt}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.serve(&peer{Conn: c}) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		testkit.Wait(t, &all)
	})
	return s
}

func (s *standIn) serve(p *peer) {
	defer p.Close()
	var d frames.Decoder
	b := make([]byte, 64<<10)
	for {
		n, err := p.Read(b)
		if err != nil {
			return
		}
		d.Feed(bytes.Clone(b[:n]))
		for {
			f, ok, err := d.Next()
			if err != nil {
				return
			}
			if !ok {
				break
			}
			switch f.Command {
			case "CONNECT":
				d.SetVersion(frames.V12)
				p.send([]byte("CONNECTED\nversion:1.2\n\n\x00"))
			case "SUBSCRIBE":
				p.destination = f.Get("destination")
				s.mu.Lock()
				s.subscribers = append(s.subscribers, p)
				s.mu.Unlock()
			case "SEND":
				if s.deny {
					p.send([]byte("ERROR\nmessage:not for you\n\n\x00"))
					continue
				}
				destination := f.Get("destination")
				s.publish(destination, f.Body)
			case "DISCONNECT":
				return
			}
		}
	}
}

func (s *standIn) publish(destination string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := []byte("MESSAGE\nsubscription:0\nmessage-id:1\ndestination:" + destination + "\ncontent-length:" + strconv.Itoa(len(body)) + "\n\n")
	m = append(append(m, body...), 0)
	out := [][]byte{m}
	if st, err := readStamp(body, fillingOf(len(body))); err == nil && !st.probe {
		s.seen++
		switch {
		case s.held != nil:
			out = s.fault(s.held, m)
			s.held = nil
		case s.seen == s.at:
			s.held, out = m, nil
		}
	}
	first := true
	for _, p := range s.subscribers {
		if p.destination != destination {
			continue
		}
		if !first {
			p.send(m)
			continue
		}
		first = false
		for _, o := range out {
			p.send(o)
		}
	}
}
