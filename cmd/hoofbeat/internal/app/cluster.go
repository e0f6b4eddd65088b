package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/cluster"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// memberOptions makes a server one of several, if the configuration says so.
func memberOptions(o *embedded.Options, c *config.Config) error {
	k := &c.Cluster
	if !c.Clustered() {
		return nil
	}
	secret, err := c.ClusterSecret()
	if err != nil {
		return err
	}
	secure, err := k.TLS.Load()
	if err != nil {
		return err
	}
	o.Cluster = &embedded.ClusterOptions{
		Name: k.Name, Listen: k.Listen, Advertise: k.Advertise, Peers: k.Peers, Secret: secret, TLS: secure, Witness: k.Witness,
	}
	return nil
}

// formed waits until the nodes have a leader, at first until all store nodes are
// there.
func (a *App) formed(ctx context.Context) error {
	k := &a.o.Config.Cluster
	a.o.Logger.Info("listening for other nodes", "node", k.Name, "address", a.store.engine.Addr(), "peers", strings.Join(k.Peers, " "))
	if err := a.store.engine.Await(ctx); err != nil {
		return storeError(err)
	}
	return nil
}

// formingReason says why a node that starts cannot serve clients yet.
func formingReason(st embedded.Status, took time.Duration) error {
	switch missing := strings.Join(st.Missing(), ", "); {
	case st.Refused != "":
		return fmt.Errorf("forming: %s", st.Refused)
	case st.Leader == "" && st.Formed:
		return noLeader(st, took)
	case st.Leader == "" && missing != "":
		return fmt.Errorf("forming: waiting for %s, for %v", missing, took)
	case st.Leader == "":
		return fmt.Errorf("forming: the nodes elect a leader, for %v", took)
	}
	return fmt.Errorf("reading what the nodes share, for %v", took)
}

// noLeader says that most of the nodes with a store are out of reach.
func noLeader(st embedded.Status, took time.Duration) error {
	text := fmt.Sprintf("no meta leader for %v", took.Round(time.Second))
	if missing := st.Missing(); len(missing) > 0 {
		text += ": out of reach: " + strings.Join(missing, ", ")
	}
	return errors.New(text)
}

// nodesReady says why this node cannot serve clients because of others, or
// because it cannot keep what they share.
func (a *App) nodesReady() error {
	err := a.store.engine.State().Err
	if err == nil || a.o.Config.Cluster.Minority == "serve" {
		return nil
	}
	if st := a.store.engine.Status(); st.Leader == "" {
		return noLeader(st, time.Since(st.Since))
	}
	return err
}

// withMajority refuses clients that are new while most of the nodes with a store
// are out of reach, unless cluster.minority is serve. Who is connected stays so.
func (a *App) withMajority(h http.Handler) http.Handler {
	if a.nodes == nil {
		return h
	}
	c := a.o.Config
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isNew := r.URL.Path == c.WebSocket.Path || r.URL.Path == c.Auth.Tickets.Path ||
			strings.HasPrefix(r.URL.Path, c.WebSocket.Path) && strings.HasSuffix(r.URL.Path, "/websocket")
		if isNew && a.nodesReady() != nil {
			auth.WriteRefusal(w, &auth.Refusal{
				Status: http.StatusServiceUnavailable, RetryAfter: majorityRetry, Reason: "this node has lost the others of its cluster: try another",
			})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// majorityRetry is when a node may have found the others again.
const majorityRetry = 5 * time.Second

const (
	// sharePause is between two attempts to make the streams of what nodes share:
	// a store node that has just come takes none at first.
	sharePause = 500 * time.Millisecond
	// shareAttempt is how long the first may take. While a cluster forms, answers
	// of the engine get lost. Each attempt may take twice as long as the last, as
	// there may be much to read.
	shareAttempt = 1500 * time.Millisecond
	// sharePatience bounds them together.
	sharePatience = 5 * time.Minute
)

// openShared opens what the nodes share: tickets, revocations, logins and
// operations.
func (a *App) openShared(ctx context.Context, js jetstream.JetStream, o cluster.StateOptions) (err error) {
	k, s := &a.o.Config.Cluster, a.store
	o.Prefix = strings.ToUpper(k.Prefix)
	if o.Replicas = int(k.Replicas); o.Replicas == 0 {
		o.Replicas = s.engine.Status().Replicas
	}
	ctx, cancel := context.WithTimeout(ctx, sharePatience)
	defer cancel()
	for within := shareAttempt; ; within *= 2 {
		attempt, cancel := context.WithTimeout(ctx, within)
		s.state, err = cluster.OpenState(attempt, js, o)
		cancel()
		if err == nil {
			return nil
		}
		if within == shareAttempt {
			a.o.Logger.Info("what the nodes share cannot be read yet, trying again", "error", err)
		}
		select {
		case <-time.After(sharePause):
		case <-ctx.Done():
			return &StoreError{&config.KeyError{Key: "cluster.listen", Text: "what the nodes share cannot be read: " + err.Error()}}
		}
	}
}

// nodes is what joins this node to the others. It is opened by joinNodes, and
// closed by leaveNodes.
type nodes struct {
	data   *nats.Conn // of links, which nothing else may delay
	links  *relay
	roster atomic.Pointer[cluster.Roster] // nil until the listeners are open
}

// relay are links that tell the id of this run.
type relay struct {
	*cluster.Links
	node string
}

// Start implements broker.Relay.
func (r *relay) Start(p broker.Peer) error {
	r.node = p.Node
	return r.Links.Start(p)
}

// joinNodes joins this node to others, if it is one of several.
func (a *App) joinNodes() error {
	c := a.o.Config
	if a.store == nil || !a.store.clustered {
		return nil
	}
	n := new(nodes)
	a.nodes = n
	var err error
	if n.data, err = a.store.engine.Connect(nats.Timeout(connectTime), nats.NoEcho()); err != nil {
		return storeError(err)
	}
	links, err := cluster.NewLinks(cluster.LinksOptions{
		Conn: n.data, Name: c.Cluster.Name, Prefix: c.Cluster.Prefix, Deadline: c.Cluster.Deadline, Interests: c.Cluster.Interests, Logger: a.o.Logger,
	})
	if err != nil {
		return storeError(err)
	}
	n.links = &relay{Links: links}
	return nil
}

// joinTopics makes the topics of the broker those of all nodes.
func (a *App) joinTopics(o *broker.Options) {
	if a.nodes != nil {
		o.Relay = a.nodes.links
	}
}

// leaveNodes says good-bye to the others. It is called after the broker has
// ended, and may be called again.
func (a *App) leaveNodes() {
	n := a.nodes
	if n == nil {
		return
	}
	if r := n.roster.Load(); r != nil {
		r.Close()
	}
	if n.links != nil {
		if err := n.links.Close(); err != nil {
			a.o.Logger.Warn("leaving the cluster", "error", err)
		}
	}
	if n.data != nil {
		n.data.Close()
	}
}
