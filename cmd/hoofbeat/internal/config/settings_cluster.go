package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Cluster is the section cluster. [Config.Clustered] reports whether it is in
// use.
type Cluster struct {
	// Name of this node, different from that of every other. That of a node with
	// store.dir never changes. nodes and /app/bootstrap use it, too.
	Name string `key:"cluster.name" is:"node name"`
	// Where other nodes reach this one. Addresses other than loopback require
	// cluster.secret.
	Listen string `key:"cluster.listen" is:"address" needs:"-"`
	// What other nodes dial, if that is not cluster.listen.
	Advertise string `key:"cluster.advertise" is:"address" needs:"cluster.listen"`
	// The nodes that have a store.dir, as other nodes reach them: the same list
	// on every node. This node can be in it.
	Peers []string `key:"cluster.peers" is:"peers" needs:"cluster.listen"`
	// Servers of a NATS cluster that joins the nodes and keeps what they share,
	// instead of cluster.listen and cluster.peers.
	URL []string `key:"cluster.url" is:"nats urls" needs:"-"`
	// File with the credentials for cluster.url, as nsc writes it.
	CredentialsFile string `key:"cluster.credentials_file" is:"file" needs:"cluster.url"`
	// First part of the names that the cluster uses in NATS. Two clusters on one
	// NATS need different ones.
	Prefix string `key:"cluster.prefix" is:"prefix" default:"hb"`
	// What nodes prove to each other that they know: 16 characters or more, the
	// same on every node.
	Secret Secret `key:"cluster.secret" needs:"cluster.listen"`
	// On how many nodes everything is kept that is stored. auto: on three, if
	// cluster.peers has so many.
	Replicas Replicas `key:"cluster.replicas" is:"replicas" default:"auto"`
	// This node only votes and keeps what the others keep: it serves no clients.
	// So two nodes that do need not both be there.
	Witness bool `key:"cluster.witness" needs:"cluster.listen store.dir"`
	// What a node does that has lost the majority of the nodes with a store.
	// refuse: it is not ready, and takes no new clients. serve: it is ready, and
	// serves what needs no store.
	Minority string `key:"cluster.minority" oneof:"refuse serve" default:"refuse"`
	// Destinations and patterns with subscribers that a node tells the others
	// one by one. With more it asks for whole groups of topics, and sorts out
	// what nobody wants.
	Interests int `key:"cluster.interests" default:"50000" range:"100 to 10000000"`
	// How long another node may take to confirm a subscription or to answer a
	// question. Then it counts as not live.
	Deadline time.Duration `key:"cluster.deadline" default:"1s" range:"50ms to 1m"`
	// How long a message may take to be stored. It should be longer than the
	// election of a leader.
	PublishTimeout time.Duration `key:"cluster.publish_timeout" default:"12s" range:"1s to 10m" needs:"stored-queues"`
	// Certificates of the nodes. With them all that nodes tell each other is
	// encrypted, and a node without one is refused.
	TLS ClusterTLS `key:"cluster.tls"`
}

// ClusterTLS is the section cluster.tls.
type ClusterTLS struct {
	// File with the certificate of this node, for both directions.
	Cert string `key:"cluster.tls.cert" is:"file"`
	// File with its private key.
	Key string `key:"cluster.tls.key" is:"file"`
	// File with the authorities of which the certificates of the nodes come.
	CA string `key:"cluster.tls.ca" is:"file"`
}

// Clustered reports whether this node is one of several.
func (c *Config) Clustered() bool { return c.Cluster.Listen != "" || len(c.Cluster.URL) > 0 }

// NodeName returns the name of this broker among several, "" for a random one.
func (c *Config) NodeName() string { return cmp.Or(c.Node, c.Cluster.Name) }

// Replicas is a number of nodes, or 0, written auto.
type Replicas int

const wantReplicas = "auto, 1, 3 or 5"

// UnmarshalText reads auto or a number.
func (r *Replicas) UnmarshalText(b []byte) error {
	n, ok := map[string]Replicas{"auto": 0, "1": 1, "3": 3, "5": 5}[string(b)]
	if !ok {
		return wrong(string(b), wantReplicas)
	}
	*r = n
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r *Replicas) MarshalText() ([]byte, error) {
	if *r == 0 {
		return []byte("auto"), nil
	}
	return []byte(strconv.Itoa(int(*r))), nil
}

const (
	maxNodeName      = 64
	minClusterSecret = 16

	wantNodeName = "1 to 64 letters, digits, - and _"
	wantPrefix   = "1 to 16 letters, digits and _"
	wantPeers    = "host:port such as 10.0.0.1:6222"
	wantNATS     = "URLs such as nats://10.0.0.1:4222 or tls://nats.example.com:4222, without a user or a password"
)

const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

func nodeName(s string) error {
	if len(s) > maxNodeName || strings.Trim(s, nameLetters+"-") != "" {
		return wrong(s, wantNodeName)
	}
	return nil
}

func natsPrefix(s string) error {
	if s == "" || len(s) > 16 || strings.Trim(s, nameLetters) != "" {
		return wrong(s, wantPrefix)
	}
	return nil
}

// peerAddress accepts what other machines can dial.
func peerAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || n == 0 || everyInterface(host) || strings.ContainsAny(host, " /@") {
		return wrong(s, wantPeers)
	}
	return nil
}

// everyInterface reports whether a host means all addresses of this machine.
func everyInterface(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// natsURL does not repeat what may have a password in it.
func natsURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Path != "" || u.RawQuery != "" {
		return errors.New("is not accepted: want " + wantNATS)
	}
	return nil
}

// checkCluster finds what cannot work in the section cluster.
func (c *Config) checkCluster(bad func(key, format string, args ...any)) {
	k := &c.Cluster
	if (k.TLS.Cert == "") != (k.TLS.Key == "") {
		bad("cluster.tls", "want both cert and key, or neither")
	}
	if !c.Clustered() {
		for _, without := range []struct {
			key string
			set bool
		}{{"cluster.peers", len(k.Peers) > 0}, {"cluster.secret", k.Secret.Set()}, {"cluster.credentials_file", k.CredentialsFile != ""}} {
			if without.set {
				bad(without.key, "is set, but neither cluster.listen nor cluster.url: this node would be alone")
			}
		}
		return
	}
	if k.Name == "" {
		bad(c.ClusterKey(), "wants cluster.name: a name of this node that no other has, of %s", wantNodeName)
	}
	if c.Node != "" && k.Name != "" && c.Node != k.Name {
		bad("node", "%s is not cluster.name, which is %s: leave out node", c.Node, k.Name)
	}
	if k.Listen != "" {
		c.checkRoutes(bad)
	} else {
		c.checkNATS(bad)
	}
	c.checkShared(bad)
}

// checkRoutes finds what cannot work with cluster.listen.
func (c *Config) checkRoutes(bad func(key, format string, args ...any)) {
	k := &c.Cluster
	if len(k.URL) > 0 {
		bad("cluster.url", "and cluster.listen are both set: want one of them")
	}
	if len(k.Peers) == 0 {
		bad("cluster.listen", "wants cluster.peers: host:port of every node that has a store.dir")
	}
	if err := peerAddress(k.Advertise); k.Advertise != "" && err != nil {
		bad("cluster.advertise", "%s", err)
	}
	if host, _, err := net.SplitHostPort(k.Listen); k.Advertise == "" && err == nil && everyInterface(host) {
		bad("cluster.listen", "%s is every interface, and wants cluster.advertise: host:port that other nodes dial", k.Listen)
	}
	for i, p := range k.Peers {
		if slices.Contains(k.Peers[:i], p) {
			bad("cluster.peers", "has %s twice", p)
		}
	}
	if !k.Secret.Set() && !loopback(k.Listen) {
		bad("cluster.listen", "%s can be reached from other machines, and any program there could join: set cluster.secret", k.Listen)
	}
	if (k.TLS.Cert == "") != (k.TLS.CA == "") {
		bad("cluster.tls", "want cert, key and ca, or none: each node proves to the others that it is one")
	}
	c.checkStores(bad)
	if n := int(k.Replicas); n > max(len(k.Peers), 1) {
		bad("cluster.replicas", "%d is more than the %d nodes of cluster.peers", n, len(k.Peers))
	}
	if k.Witness && (c.places["listen"] != "" && c.Listen != "" || c.TCP != "") {
		bad("cluster.witness", "is true, and listen or tcp is set: a witness serves no clients")
	}
	if k.Witness && c.Store.Dir == "" {
		bad("cluster.witness", "is true, but store.dir is not set: a witness keeps what the others keep")
	}
}

// The number of nodes with a store.
const minStores, maxStores = 3, 5

// checkStores counts the nodes that keep what all share.
func (c *Config) checkStores(bad func(key, format string, args ...any)) {
	k := &c.Cluster
	own := cmp.Or(k.Advertise, k.Listen)
	n, listed := len(k.Peers), slices.Contains(k.Peers, own)
	switch {
	case n == 0:
		return
	case c.Store.Dir == "" && listed:
		bad("cluster.peers", "has this node, %s, which has no store.dir: want the nodes that do. A cluster has %d to %d of them", own, minStores, maxStores)
		return
	case c.Store.Dir != "" && !listed:
		n++
	}
	if n < minStores {
		bad("cluster.peers", "names %d nodes with a store.dir: want %d to %d, this one included, so that one can fail. One of them can be a witness (cluster.witness)", n, minStores, maxStores)
	}
	if n > maxStores {
		bad("cluster.peers", "names %d nodes with a store.dir: want %d to %d. Further nodes need none", n, minStores, maxStores)
	}
}

// checkNATS finds what cannot work with cluster.url.
func (c *Config) checkNATS(bad func(key, format string, args ...any)) {
	bad("cluster.url", "cannot be used yet: set cluster.listen and cluster.peers")
	if c.Store.Dir != "" {
		bad("store.dir", "and cluster.url are both set: what nodes share is kept in that NATS")
	}
}

// ClusterKey is the key that makes this node one of several.
func (c *Config) ClusterKey() string {
	if c.Cluster.Listen != "" {
		return "cluster.listen"
	}
	return "cluster.url"
}

// checkShared refuses what nodes cannot do together yet.
func (c *Config) checkShared(bad func(key, format string, args ...any)) {
	yet := "cannot be used together with " + c.ClusterKey() + " yet: "
	if c.Queues.Mode == "work" {
		const instead = "each node would have queues of its own. Set queues.mode to broadcast: then what is sent to a queue reaches its subscribers on all nodes, and is not kept"
		if c.places["queues.mode"] != "" {
			bad("queues.mode", "work "+yet+instead)
		} else {
			bad(c.ClusterKey(), "cannot be used together with queues.mode work, which is the default, yet: "+instead)
		}
	}
	if len(c.History) > 0 {
		bad("history", yet+"each node would have a history and offsets of its own. Remove it")
	}
	if len(c.Durable) > 0 {
		bad("durable", yet+"what waits for a client would be on one node. Remove it")
	}
	if len(c.Presence) > 0 {
		bad("presence", yet+"each node would list its own clients only. Remove it")
	}
}

// ClusterSecret returns what nodes prove to each other, "" for none.
func (c *Config) ClusterSecret() (string, error) {
	text, err := c.Cluster.Secret.Read("cluster.secret")
	if err != nil || text == "" {
		return "", err
	}
	if len(text) < minClusterSecret {
		return "", &KeyError{Key: "cluster.secret", Text: fmt.Sprintf("has %d characters, want %d or more", len(text), minClusterSecret)}
	}
	return text, nil
}
