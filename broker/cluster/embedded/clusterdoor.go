//go:build !nostore

package embedded

import (
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Nodes show each other who they are as the user name of a route: before they
// are connected, because a store that joins a cluster to which it does not
// belong would be emptied.
const (
	identityFormat = "hoofbeat1"
	kindStore      = "store"
	kindEdge       = "edge"
	noCluster      = "-" // instead of the id of a cluster, before it has formed
)

// identity is what this node shows. It is that of the start: a node that has
// joined since shows the id from its next start on.
func (m *member) identity() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	kind, id := kindEdge, noCluster
	if m.store {
		kind = kindStore
	}
	if m.id != "" {
		id = m.id
	}
	return strings.Join([]string{identityFormat, kind, id, m.o.Name}, ":")
}

// door lets other nodes in.
type door struct{ m *member }

// Check is called for each connection of another node.
func (d door) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	why := d.m.refuse(o.Username, o.Password)
	if why == "" {
		return true
	}
	d.m.log.Warnf(refusedText+" (%v): %s", c.RemoteAddress(), why)
	return false
}

// refuse returns why a node is not accepted, or "".
func (m *member) refuse(user, password string) string {
	if subtle.ConstantTimeCompare([]byte(password), []byte(m.o.Secret)) != 1 {
		return "it does not know the secret"
	}
	parts := strings.Split(user, ":")
	if len(parts) != 4 || parts[0] != identityFormat || !validName(parts[3]) {
		return "it is no node of Hoofbeat, or of another version"
	}
	kind, id, name := parts[1], parts[2], parts[3]
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case name == m.o.Name, kind != kindStore: // this node itself: the server finds out
		return ""
	case id != noCluster && m.id != "" && id != m.id:
		return "the directory of " + name + " belongs to another cluster"
	case len(m.names) >= len(m.stores) && !slices.Contains(m.names, name):
		return "the store nodes are " + strings.Join(m.names, ", ") + ", and " + name + " is none of them. A node with a new disk keeps its name"
	}
	return ""
}

// refusedFor is how long a refusal counts as recent: a node tries again each
// second.
const refusedFor = 10 * time.Second

// whyRefused is what the other side does not say.
const whyRefused = "another node refuses this one, because the secret differs, or the name is none of the cluster's store nodes, or the directory belongs to another cluster: the log of the other node says which"

// refusedNow notes what the server logs when another node refuses this one.
func (m *member) refusedNow(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused, m.refusedAt = text, time.Now()
}

// refusedText begins the line about a node that is not accepted.
const refusedText = "another node is not accepted"
