package embedded

import (
	"crypto/tls"
	"time"
)

// ClusterOptions make a [Server] one of several. With [Options.Dir] it is a store
// node: it keeps what is stored, together with the other store nodes. Without,
// it is an edge, which reaches the store of the others.
//
// A cluster has three to five store nodes. All of them must be there when it
// forms for the first time; afterwards most of them suffice.
type ClusterOptions struct {
	// Name is the name of this node, different from that of every other. That of
	// a store node never changes: its directory refuses another one, and a node
	// whose disk was replaced keeps the name. Required.
	Name string
	// Listen is where other nodes reach this one, host:port. Port 0 is any that
	// is free: see [Server.Addr]. Required.
	Listen string
	// Advertise is what the others dial, host:port, if that is not Listen.
	Advertise string
	// Peers are the addresses of all store nodes, as they advertise them. This
	// node itself may be among them. Required.
	Peers []string
	// Secret is what nodes prove to each other that they know. It is required
	// unless Listen is on loopback.
	Secret string
	// TLS encrypts what nodes tell each other, and has each prove to be one: it
	// has a certificate, and RootCAs or ClientCAs, of which that of every node
	// must come. It is used for both directions. Nil means no encryption.
	TLS *tls.Config
	// Witness says that no client is served here: the node is only the third of
	// the store nodes, so that two others need not both be there. It needs Dir,
	// and keeps what the others keep.
	Witness bool
}

// Status is what an operator wants to know of a cluster, as this node sees it.
// It contains no secret.
type Status struct {
	// Name is that of this node, "" if it is alone: then only Replicas, which is
	// 1, means anything.
	Name string
	// Address is what others dial.
	Address string
	// Store says that it keeps data, and Witness that it serves no clients.
	Store, Witness bool
	// Leader is the store node that leads the cluster, "" if none is known: then
	// nothing can be created. Since is when it began to be so, here.
	Leader string
	Since  time.Time
	// Formed says that a leader has been known here since the start of this
	// process, or that the directory has been part of the cluster before.
	Formed bool
	// Current says that this node, if it is a store node, has caught up with
	// what is stored.
	Current bool
	// Replicas is on how many nodes everything is to be kept.
	Replicas int
	// Peers are all other nodes that are known, store nodes first, by name. One
	// that was never heard of has only an address.
	Peers []Peer
	// Refused is why another node does not accept this one, if one has said so
	// recently, or "".
	Refused string
}

// Peer is another node of a cluster.
type Peer struct {
	Name, Address  string
	Store, Witness bool
	// Connected says that it was heard of within the last seconds. Since is when
	// that began, or ended; zero if it was never heard of.
	Connected bool
	Since     time.Time
	// Lag is how many changes of the cluster's own records the node has not
	// confirmed to the leader yet. Current is false if it was not heard of, or
	// says that it has not caught up with what is stored.
	Lag     uint64
	Current bool
}

// Missing returns the store nodes that are not connected, by their names, or by
// their addresses if those are not known.
func (s *Status) Missing() []string {
	var missing []string
	for _, p := range s.Peers {
		if p.Store && !p.Connected {
			name := p.Name
			if name == "" {
				name = p.Address
			}
			missing = append(missing, name)
		}
	}
	return missing
}
