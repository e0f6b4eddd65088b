//go:build !nostore

package embedded_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

const clusterSecret = "planted-secret-of-the-cluster"

// machine is where a node runs, and what survives it.
type machine struct {
	name, address, dir string
	mu                 sync.Mutex
	server             *embedded.Server
	addr               string
	log                *shared
}

// cluster is what the tests of a cluster share.
type cluster struct {
	wires    *wires
	machines map[string]*machine
	stores   []string // addresses
}

func newCluster(t *testing.T, names ...string) *cluster {
	t.Helper()
	c := &cluster{wires: newWires(t), machines: make(map[string]*machine)}
	for _, name := range names {
		m := &machine{name: name, dir: t.TempDir(), log: new(shared)}
		m.address = c.wires.address(t, name, func() string {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.server != nil && m.server.Addr() != "" {
				m.addr = m.server.Addr()
			}
			return m.addr
		})
		c.machines[name] = m
		c.stores = append(c.stores, m.address)
	}
	return c
}

func (c *cluster) options(name string) embedded.Options {
	m := c.machines[name]
	return embedded.Options{
		Dir: m.dir, SyncInterval: time.Minute,
		Cluster: &embedded.ClusterOptions{Name: name, Listen: "127.0.0.1:0", Advertise: m.address, Peers: c.stores, Secret: clusterSecret},
		Logger:  slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// start starts a node.
func (c *cluster) start(t *testing.T, name string) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(within(t), c.options(name))
	if err != nil {
		t.Fatal(name, err)
	}
	m := c.machines[name]
	m.mu.Lock()
	m.server = s
	m.mu.Unlock()
	t.Cleanup(func() { c.stop(t, name) })
	return s
}

// stop ends a node if it runs.
func (c *cluster) stop(t *testing.T, name string) {
	t.Helper()
	m := c.machines[name]
	m.mu.Lock()
	s := m.server
	m.server = nil
	m.mu.Unlock()
	if s != nil {
		if err := s.Close(); err != nil {
			t.Error(name, err)
		}
	}
}

// awaited waits until a node takes what is stored.
func awaited(t *testing.T, s *embedded.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.Await(ctx); err != nil {
		t.Fatalf("%v: %+v", err, s.Status())
	}
}

func TestACluster(t *testing.T) {
	c := newCluster(t, "n1", "n2", "n3")
	n1, n2 := c.start(t, "n1"), c.start(t, "n2")
	brokertest.Eventually(t, "the log says whom two of three wait for", func() bool {
		return strings.Contains(c.machines["n1"].log.String(), "waiting for "+c.machines["n3"].address)
	})
	if st := n1.Status(); st.Leader != "" || st.Formed || n1.State().Err == nil || len(st.Missing()) != 1 {
		t.Errorf("two of three have formed a cluster: %+v, %v", st, n1.State().Err)
	}
	n3 := c.start(t, "n3")
	for _, s := range []*embedded.Server{n1, n2, n3} {
		awaited(t, s)
	}
	_, js := connect(t, n1)
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "A", Subjects: []string{"a"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(within(t), "a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if _, err := n1.Export(within(t), io.Discard, nil); err == nil || !strings.Contains(err.Error(), "not exported") {
		t.Errorf("the export of one of several nodes begins, with a second node of its name: %v", err)
	}
	t.Logf("%+v", n1.Status())
}
