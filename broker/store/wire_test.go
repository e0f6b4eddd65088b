package store_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// wires connect to an engine that does what one behind a network may do: its
// answers come late, out of order and twice, or never, because the connection
// breaks when it has done what it was asked.
type wires struct {
	engine *embedded.Server
	calm   atomic.Bool  // nothing of that happens
	faulty atomic.Int32 // answers that were not carried in calm
	n      [4]atomic.Int32
}

const (
	isLate = iota
	isTwice
	isLost
	isOvertaken
)

// InProcessConn implements nats.InProcessConnProvider.
func (w *wires) InProcessConn() (net.Conn, error) {
	engine, err := w.engine.InProcessConn()
	if err != nil {
		return nil, err
	}
	client, here := net.Pipe()
	l := &wire{w: w, client: here, engine: engine}
	go func() {
		_, _ = io.Copy(engine, here) // ends with the connection
		l.cut()
	}()
	go l.carry()
	return client, nil
}

type wire struct {
	w              *wires
	client, engine net.Conn

	mu   sync.Mutex // to write to the client
	late int        // answers that were sent later
}

func (l *wire) cut() {
	_ = l.client.Close() // it is broken on purpose
	_ = l.engine.Close()
}

// carry carries what the engine says.
func (l *wire) carry() {
	defer l.cut()
	in := bufio.NewReader(l.engine)
	for {
		frame, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		answer := false
		if bytes.HasPrefix(frame, []byte("MSG ")) || bytes.HasPrefix(frame, []byte("HMSG ")) {
			words := bytes.Fields(frame)
			size, err := strconv.Atoi(string(words[len(words)-1]))
			if err != nil {
				return
			}
			body := make([]byte, size+2)
			if _, err := io.ReadFull(in, body); err != nil {
				return
			}
			frame = append(frame, body...)
			// Answers have a token of their own: _INBOX.<id>.<token>. What a
			// subscription gets keeps its order, as on any connection.
			answer = bytes.HasPrefix(words[1], []byte("_INBOX.")) && bytes.Count(words[1], []byte(".")) == 2
		}
		if !answer || l.w.calm.Load() {
			l.write(frame)
			continue
		}
		n := rand.IntN(1000)
		if l.w.faulty.Add(1) == 50 {
			n = 0 // one is lost in each run
		}
		switch {
		case n < 3:
			l.w.n[isLost].Add(1)
			return
		case n < 300:
			l.w.n[isLate].Add(1)
			l.mu.Lock()
			l.late++
			l.mu.Unlock()
			time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, func() {
				l.write(frame)
				l.mu.Lock()
				l.late--
				l.mu.Unlock()
			})
		default:
			l.mu.Lock()
			if l.late > 0 {
				l.w.n[isOvertaken].Add(1)
			}
			l.mu.Unlock()
			l.write(frame)
			if n < 400 {
				l.w.n[isTwice].Add(1)
				l.write(frame)
			}
		}
	}
}

func (l *wire) write(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.client.Write(frame); err != nil {
		l.cut()
	}
}

// check says if the test did not do what it says.
func (w *wires) check(t *testing.T) {
	t.Helper()
	for kind, what := range []string{isLate: "late", isTwice: "given twice", isLost: "lost", isOvertaken: "overtaken"} {
		if w.n[kind].Load() == 0 {
			t.Errorf("no answer was %s", what)
		}
	}
}

// faultyEngine starts an engine in a directory and connects to it over wires. No
// faults come before calm is false.
func faultyEngine(t *testing.T, dir string) (w *wires, data, control *nats.Conn) {
	t.Helper()
	engine, err := embedded.Start(within(t), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w = &wires{engine: engine}
	w.calm.Store(true)
	connect := func() *nats.Conn {
		c, err := nats.Connect("", nats.InProcessServer(w), nats.MaxReconnects(-1), nats.ReconnectWait(5*time.Millisecond),
			nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return w, connect(), connect()
}

// closing returns a function that ends a store and its engine, once. The test
// calls it at the latest when it ends.
func closing(t testing.TB, s io.Closer, data, control *nats.Conn, engine *embedded.Server) func() {
	end := sync.OnceFunc(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		data.Close()
		control.Close()
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return end
}

// openFaulty opens the queues over wires, from which faults come after that.
func openFaulty(t *testing.T, dir string) (*rig, *wires) {
	t.Helper()
	w, data, control := faultyEngine(t, dir)
	q, err := store.OpenQueues(within(t), store.Options{Data: data, Control: control, SyncAlways: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.calm.Store(false)
	return &rig{Queues: q, engine: w.engine, close: closing(t, q, data, control, w.engine)}, w
}

// untilWorks waits until a store works.
func untilWorks(t testing.TB, s interface{ Err() error }) {
	t.Helper()
	for end := time.Now().Add(patience); s.Err() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(fmt.Errorf("the store does not begin again: %w", s.Err()))
		}
	}
}
