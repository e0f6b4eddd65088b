package webflow_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// pipe is a minimal Transport: it sends the page's frames once and signals what
// arrives.
type pipe struct {
	say  []byte
	come func([][]byte)
	once sync.Once
	gone chan struct{}
}

func (p *pipe) Receive() ([]byte, error) {
	if say := p.say; say != nil {
		p.say = nil
		return say, nil
	}
	<-p.gone
	return nil, io.EOF
}

func (p *pipe) Send(frames [][]byte) error {
	p.come(frames)
	return nil
}

func (p *pipe) Close(int, string) error {
	p.once.Do(func() { close(p.gone) })
	return nil
}

// waiters connects n pages that each wait for an operation. come gets
// everything that they receive.
func waiters(t testing.TB, n int, come func([][]byte)) *webflow.Flow {
	t.Helper()
	_, f := waitersAt(t, n, come)
	return f
}

func waitersAt(t testing.TB, n int, come func([][]byte)) (*brokertest.Server, *webflow.Flow) {
	t.Helper()
	srv := brokertest.Start(t, broker.Options{Authenticator: credentials, Limits: broker.Limits{Unauthenticated: -1, UnauthenticatedPerAddress: -1}, ConnectDeadline: -1})
	b := srv.Broker
	f, err := webflow.New(b, webflow.Options{TTL: time.Hour, MaxInterim: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	for i := range n {
		id, err := f.Open(context.Background(), webflow.Operation{ID: operationID(i), Owner: anyone})
		if err != nil {
			t.Fatal(err)
		}
		p := &pipe{gone: make(chan struct{}), come: come, say: []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\x00" +
			"SUBSCRIBE\nid:r\ndestination:/user/topic/registration\n\n\x00" +
			"SEND\ndestination:/app/registration\n\n{\"webSocketId\":\"" + id + "\"}\x00" +
			"SUBSCRIBE\nid:a\ndestination:/user/topic/authorization\n\n\x00")}
		go func() { _ = b.Serve(context.Background(), p, broker.Admission{}) }()
	}
	brokertest.Eventually(t, "all pages wait", func() bool {
		s := b.Stats()
		return f.Stats().Registered == n && s.Subscriptions == 2*n
	})
	return srv, f
}

func operationID(i int) string { return fmt.Sprintf("40269145-d91f-4579-badd-%012d", i) }

// BenchmarkNotify measures the time from Notify until the page has the frame,
// with 100,000 pages waiting.
func BenchmarkNotify(b *testing.B) {
	const n = 100_000
	var mu sync.Mutex
	var started time.Time
	var took []time.Duration
	arrived := make(chan struct{}, 1)
	measuring := false
	f := waiters(b, n, func([][]byte) {
		mu.Lock()
		defer mu.Unlock()
		if measuring {
			took = append(took, time.Since(started))
			arrived <- struct{}{}
		}
	})
	mu.Lock()
	measuring = true
	mu.Unlock()
	i := 0
	for b.Loop() {
		mu.Lock()
		started = time.Now()
		mu.Unlock()
		if _, err := f.Notify(context.Background(), operationID(i%n), "AUTH_METHOD_CHOSEN"); err != nil {
			b.Fatal(err)
		}
		<-arrived
		i += 7919
	}
	mu.Lock()
	measuring = false
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "ns-median")
	b.ReportMetric(float64(took[len(took)*99/100]), "ns-p99")
	mu.Unlock()
}

// BenchmarkNotifyLoopback measures the same for a page behind a real WebSocket
// on loopback, while the other 100,000 wait.
func BenchmarkNotifyLoopback(b *testing.B) {
	srv, f := waitersAt(b, 100_000, func([][]byte) {})
	c, _, err := websocket.Dial(b.Context(), srv.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer c.CloseNow()
	id, err := f.Open(b.Context(), webflow.Operation{ID: "measured", Owner: anyone})
	if err != nil {
		b.Fatal(err)
	}
	hello := "CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\x00" +
		"SUBSCRIBE\nid:a\ndestination:/user/topic/authorization\n\n\x00" +
		"SUBSCRIBE\nid:r\ndestination:/user/topic/registration\n\n\x00" +
		"SEND\ndestination:/app/registration\n\n{\"webSocketId\":\"" + id + "\"}\x00"
	if err := c.Write(b.Context(), websocket.MessageText, []byte(hello)); err != nil {
		b.Fatal(err)
	}
	for range 2 { // CONNECTED, registered
		if _, _, err := c.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := f.Notify(b.Context(), "measured", "AUTH_METHOD_CHOSEN"); err != nil {
			b.Fatal(err)
		}
		if _, _, err := c.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "ns-median")
	b.ReportMetric(float64(took[len(took)*99/100]), "ns-p99")
}

// BenchmarkNotifyParallel reports from backends on all processors at once.
func BenchmarkNotifyParallel(b *testing.B) {
	const n = 10_000
	f := waiters(b, n, func([][]byte) {})
	var next sync.Mutex
	i := 0
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			next.Lock()
			i += 7919
			id := operationID(i % n)
			next.Unlock()
			if _, err := f.Notify(context.Background(), id, "AUTH_METHOD_CHOSEN"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen announces operations while the timer's heap grows.
func BenchmarkOpen(b *testing.B) {
	br := brokertest.New(b, broker.Options{Authenticator: credentials})
	f, err := webflow.New(br, webflow.Options{MaxOperations: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := f.Open(context.Background(), webflow.Operation{ID: operationID(i)}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
