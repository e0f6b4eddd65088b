//go:build !nostore

package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// checkMember checks that a directory is that of this node. m is nil if it is
// new. The engine would delete what another cluster, or none, has stored.
func (s *Server) checkMember(m *manifest) error {
	switch {
	case m == nil:
		return nil
	case s.member == nil && m.Cluster != nil:
		return dirError("%s is that of the node %s of a cluster, and cannot be used alone: start it with the options of the cluster, or use another directory. Nothing was changed", s.dir.path, m.Cluster.Name)
	case s.member == nil:
		return nil
	case m.Cluster == nil:
		return dirError("%s is that of a server that was alone: joining a cluster would delete what it holds. Write it to a file with `hoofbeat store export`, start the cluster with empty directories, and read the file with `hoofbeat store import`. Nothing was changed", s.dir.path)
	case m.Cluster.Name != s.member.o.Name:
		return dirError("%s is that of the node %s, and this one is %s: give it that name, or use another directory. Nothing was changed", s.dir.path, m.Cluster.Name, s.member.o.Name)
	case s.o.OldKey != "" && !m.isKey(s.o.Key):
		return keyError("the key of a cluster's store node is changed by a new directory: begin with an empty one, under the same name and with the new key. The other store nodes have what it held")
	}
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	s.member.id, s.member.names = m.Cluster.ID, slices.Clone(m.Cluster.Stores)
	s.member.kept, s.member.formed = s.member.names, m.Cluster.ID != ""
	return nil
}

// join makes a new manifest that of a cluster's node.
func (m *manifest) join(of *member) {
	if of != nil {
		m.Format, m.Cluster = clusterFormat, &clusterManifest{Name: of.o.Name, Stores: []string{}}
	}
}

// openEdge starts the engine of an edge.
func (s *Server) openEdge(ctx context.Context) error {
	engine, err := s.launch(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine, s.run = engine, 1
	s.setState(nil)
	return nil
}

// setCurrent notes whether this node has caught up.
func (m *member) setCurrent(current bool) {
	m.mu.Lock()
	m.current = current
	m.mu.Unlock()
}

// The first stream of a cluster has its id.
const (
	identityStream = "HOOFBEAT_CLUSTER"
	identityKey    = "hoofbeat-cluster"
	identifyWithin = 5 * time.Second
)

// identify finds out which cluster this is, if that is not known, and keeps it
// in the manifest with the names of the store nodes. There is a leader.
func (s *Server) identify() {
	m := s.member
	m.mu.Lock()
	known := m.id != ""
	if !known && !m.store {
		if leader := m.nodes[m.leader]; leader != nil {
			m.id = leader.Cluster
		}
	}
	changed := !slices.Equal(m.names, m.kept)
	m.mu.Unlock()
	if !m.store || known && !changed || !m.identifying.CompareAndSwap(false, true) {
		return
	}
	s.working.Go(func() {
		defer m.identifying.Store(false)
		if err := s.keepIdentity(); err != nil && s.life.Err() == nil {
			m.log.Warnf("this node cannot note to which cluster it belongs, and tries again: %v", err)
		}
	})
}

// keepIdentity writes the id and the names to the manifest.
func (s *Server) keepIdentity() error {
	m := s.member
	ctx, cancel := context.WithTimeout(s.life, identifyWithin)
	defer cancel()
	m.mu.Lock()
	id := m.id
	m.mu.Unlock()
	if id == "" {
		var err error
		if id, err = m.agree(ctx); err != nil {
			return err
		}
	}
	s.files.Lock()
	defer s.files.Unlock()
	m.mu.Lock()
	names := m.names
	m.mu.Unlock()
	next := *s.manifest
	next.Cluster = &clusterManifest{ID: id, Name: m.o.Name, Stores: names}
	if err := s.dir.writeManifest(&next); err != nil {
		return err
	}
	s.manifest = &next
	m.mu.Lock()
	m.id, m.kept = id, names
	m.mu.Unlock()
	return nil
}

// agree returns the id of the cluster: that of the node that was the first to
// give it one.
func (m *member) agree(ctx context.Context) (string, error) {
	js, err := jetstream.New(m.conn)
	if err != nil {
		return "", err
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: identityStream, Subjects: []string{"hoofbeat.cluster"}, Storage: jetstream.FileStorage, Replicas: m.replicas(),
		MaxMsgs: 1, MaxBytes: 1 << 10, MaxConsumers: 1, Metadata: map[string]string{identityKey: rand.Text()},
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = js.Stream(ctx, identityStream)
	}
	if err != nil {
		return "", err
	}
	id := stream.CachedInfo().Config.Metadata[identityKey]
	if id == "" {
		return "", errors.New("the stream " + identityStream + " has no id")
	}
	return id, nil
}
