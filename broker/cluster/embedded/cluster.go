//go:build !nostore

package embedded

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

const (
	// patience is how long a route may neither read nor answer.
	patience = 2 * time.Second
	// minStores is how many store nodes a cluster has at least: two are less
	// available than one. More than maxStores make everything slower that is
	// created.
	minStores = 3
	maxStores = 5
	// wantedReplicas is on how many of them everything is kept.
	wantedReplicas = 3
)

// member is this node's part in a cluster. A Server that is alone has none.
type member struct {
	o       ClusterOptions
	log     *logger
	store   bool
	address string   // that others dial; of an edge that listens on any port "" until then
	stores  []string // the addresses of all store nodes, this one's among them if it is one
	// The client listener, without which the server opens none for routes
	// either, is on loopback, on any port, with these.
	user, password string

	conn        *nats.Conn // over which nodes tell of each other
	identifying atomic.Bool

	mu         sync.Mutex
	id         string   // of the cluster; "" until it has formed
	names      []string // of its store nodes, as far as they are known
	kept       []string // those of the manifest
	nodes      map[string]*node
	leader     string // "" if none is known
	since      time.Time
	lastLeader time.Time // when there was one; zero if there never was
	formed     bool
	current    bool
	lags       map[string]uint64 // what the leader, if it is this node, says of the others
	refused    string
	refusedAt  time.Time
	begun      time.Time
	told       time.Time // when an operator was last told who is missing
	tellings   int
}

func clusterError(field, format string, args ...any) error {
	return &OptionError{Field: "Cluster." + field, Err: fmt.Errorf(format, args...)}
}

// newMember checks the options of a cluster.
func newMember(o ClusterOptions, store bool, log *logger) (*member, error) {
	m := &member{
		o: o, log: log, store: store, user: rand.Text(), password: rand.Text(),
		nodes: make(map[string]*node), begun: time.Now(), since: time.Now(),
	}
	if !validName(o.Name) {
		return nil, clusterError("Name", "%q is not a name: it has 1 to 64 letters, digits, '.', '_' and '-'", o.Name)
	}
	host, _, err := splitAddress(o.Listen)
	if err != nil {
		return nil, clusterError("Listen", "%w", err)
	}
	if o.Secret == "" && !httpsec.Loopback(host) {
		return nil, clusterError("Secret", "is required beyond loopback (%s): everybody who reaches that address could join", o.Listen)
	}
	if o.Witness && !store {
		return nil, clusterError("Witness", "keeps data: it needs a directory")
	}
	if len(o.Peers) == 0 {
		return nil, clusterError("Peers", "are required: the addresses of all store nodes")
	}
	for i, peer := range o.Peers {
		if _, port, err := splitAddress(peer); err != nil {
			return nil, clusterError("Peers", "%w", err)
		} else if port == 0 {
			return nil, clusterError("Peers", "%q has no port", peer)
		}
		if slices.Contains(o.Peers[:i], peer) {
			return nil, clusterError("Peers", "%s is there twice", peer)
		}
	}
	m.stores = slices.Clone(o.Peers)
	if m.address, err = o.address(); err != nil {
		return nil, err
	}
	if store {
		if !slices.Contains(m.stores, m.address) {
			m.stores = append(m.stores, m.address)
		}
		switch n := len(m.stores); {
		case n < minStores:
			return nil, clusterError("Peers", "name %d store nodes with this one (%s): a cluster has at least three, one of which may be a witness, so that one can fail", n, strings.Join(m.stores, ", "))
		case n > maxStores:
			return nil, clusterError("Peers", "name %d store nodes with this one (%s): a cluster has at most five. Others are edges, without a directory", n, strings.Join(m.stores, ", "))
		}
	}
	return m, nil
}

// validName tells what can be the name of a node. It is part of what nodes show
// each other.
func validName(name string) bool {
	return name != "" && len(name) <= 64 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// address returns what others dial. The number of store nodes counts, so each
// must know which of them it is.
func (o *ClusterOptions) address() (string, error) {
	if o.Advertise != "" {
		if host, port, err := splitAddress(o.Advertise); err != nil {
			return "", clusterError("Advertise", "%w", err)
		} else if ip := net.ParseIP(host); port == 0 || ip != nil && ip.IsUnspecified() {
			return "", clusterError("Advertise", "%s is nothing that can be dialled", o.Advertise)
		}
		return o.Advertise, nil
	}
	host, port, err := splitAddress(o.Listen)
	if err != nil {
		return "", clusterError("Listen", "%w", err)
	}
	ip := net.ParseIP(host)
	if port != 0 && (ip == nil || !ip.IsUnspecified()) {
		return o.Listen, nil
	}
	if port != 0 {
		for _, peer := range o.Peers {
			if isLocal(peer, port) {
				return peer, nil
			}
		}
	}
	return "", clusterError("Advertise", "is required: others cannot dial %s, and no address of this machine is among Peers", o.Listen)
}

// isLocal reports whether an address is one of this machine, with that port.
func isLocal(address string, port int) bool {
	host, p, err := splitAddress(address)
	ip := net.ParseIP(host)
	if err != nil || p != port || ip == nil {
		return false
	}
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// options adds what a server in a cluster needs to its options.
func (m *member) options(o *server.Options) error {
	host, port, err := splitAddress(m.o.Listen)
	if err != nil {
		return clusterError("Listen", "%w", err)
	}
	o.ServerName = m.o.Name
	o.DontListen, o.Host, o.Port, o.Username, o.Password = false, "127.0.0.1", server.RANDOM_PORT, m.user, m.password
	o.Cluster = routeOptions(host, port, patience)
	o.Cluster.Advertise, o.Cluster.Username, o.Cluster.Password = m.address, m.identity(), m.o.Secret
	if m.o.TLS != nil {
		if o.Cluster.TLSConfig, err = mutual(m.o.TLS); err != nil {
			return err
		}
	}
	o.CustomRouterAuthentication = door{m}
	// The first formation counts them: this node must be among them, too.
	for _, address := range m.stores {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: address, User: url.UserPassword(m.identity(), m.o.Secret)})
	}
	return nil
}

// mutual has both sides of a connection show a certificate.
func mutual(c *tls.Config) (*tls.Config, error) {
	c = c.Clone()
	if len(c.Certificates) == 0 && (c.GetCertificate == nil || c.GetClientCertificate == nil) {
		return nil, clusterError("TLS", "has no certificate")
	}
	if c.RootCAs == nil {
		c.RootCAs = c.ClientCAs
	}
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	if c.RootCAs == nil {
		return nil, clusterError("TLS", "has no RootCAs: the certificates of other nodes cannot be checked")
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c, nil
}

// routeOptions are those of the routes of any server that listens for others. Port
// 0 is any.
func routeOptions(host string, port int, patience time.Duration) server.ClusterOpts {
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return server.ClusterOpts{
		Name: "hoofbeat", Host: host, Port: port, NoAdvertise: true,
		// A peer that has stopped would slow everybody down: see
		// docs/decisions/links.md.
		PingInterval: patience, MaxPingsOut: 2, WriteDeadline: patience, WriteTimeout: server.WriteTimeoutPolicyClose,
	}
}

// listens waits until a server listens for others. failed makes an error of what
// the server says about its address.
func listens(ctx context.Context, engine *server.Server, log *logger, failed func(text string) error) error {
	for {
		listening := engine.ReadyForConnections(10 * time.Millisecond)
		if text := log.failure(); text != "" {
			return failed(text)
		}
		if listening {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// ready waits until the server listens for others.
func (m *member) ready(ctx context.Context, engine *server.Server, log *logger) error {
	return listens(ctx, engine, log, func(text string) error { return clusterError("Listen", "%s: %s", m.o.Listen, text) })
}

// splitAddress splits an address. Port 0 is any.
func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || host == "" || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not host:port", address)
	}
	return host, port, nil
}
