package app

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/admin"
	"github.com/hoofbeat/hoofbeat/broker/cluster"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// reportNode begins to tell the other nodes of this one, and to list the live
// ones to clients. url is that of the public listener.
func (a *App) reportNode(url string) error {
	n := a.nodes
	if n == nil {
		return nil
	}
	url = publicURL(a.o.Config, url)
	roster, err := cluster.NewRoster(cluster.RosterOptions{
		Conn: a.store.control, Prefix: a.o.Config.Cluster.Prefix, Logger: a.o.Logger,
		Self:    func() cluster.Profile { return a.profile(url) },
		Changed: a.listNodes,
	})
	if err != nil {
		return storeError(err)
	}
	n.roster.Store(roster)
	return nil
}

// publicURL returns where clients reach this node: what nodes says, or the
// public listener if its address can be dialled.
func publicURL(c *config.Config, listener string) string {
	for _, n := range c.Nodes {
		if n.ID == c.NodeName() {
			return n.URL
		}
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if c.ListensOnUnix() || err != nil || host == "" || unspecified(host) {
		return ""
	}
	return listener
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// profile is what this node tells the others of itself.
func (a *App) profile(url string) cluster.Profile {
	st, links := a.store.engine.Status(), a.nodes.links.Stats()
	p := cluster.Profile{
		ID: a.nodes.links.node, Name: a.o.Config.Cluster.Name, URL: url, Address: st.Address, Version: shortVersion(a.o.Version),
		Store: st.Store, Witness: st.Witness, Interest: links.Interests, Drops: links.Dropped,
	}
	for _, ready := range []func() error{a.brokerReady, a.storeReady} {
		if err := ready(); err != nil {
			p.Reasons = append(p.Reasons, err.Error())
		}
	}
	p.Ready = len(p.Reasons) == 0
	if st.Leader == p.Name {
		p.Leads = []string{"meta"}
	}
	return p
}

// shortVersion returns the version alone, without the name of the program and
// what it was built with.
func shortVersion(text string) string {
	short, _, _ := strings.Cut(strings.TrimPrefix(text, "hoofbeat "), ",")
	return short
}

func (a *App) brokerReady() error {
	switch err := a.broker.Ready(context.Background()); {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrDraining):
		return errors.New("the broker is draining")
	default:
		return errors.New("the broker takes no new sessions")
	}
}

// listNodes lists the live nodes that take new clients in the answer to a page
// that asks at /app/bootstrap.
func (a *App) listNodes(live []cluster.Profile) {
	known := make(map[string]string) // the URLs of the configuration
	for _, n := range a.o.Config.Nodes {
		known[n.ID] = n.URL
	}
	nodes := []broker.Node{}
	for _, p := range live {
		url := p.URL
		if url == "" {
			url = known[p.Name]
		}
		if url != "" && p.Ready && !p.Witness {
			nodes = append(nodes, broker.Node{ID: p.Name, URL: url})
		}
	}
	if err := a.broker.SetNodes(nodes); err != nil {
		a.o.Logger.Warn("the live nodes cannot be listed to clients", "error", err)
	}
}

// clusterNodes are those of the admin API.
func (a *App) clusterNodes() []admin.ClusterNode {
	if a.nodes == nil || a.nodes.roster.Load() == nil {
		return nil
	}
	st := a.store.engine.Status()
	lags := make(map[string]uint64)
	for _, p := range st.Peers {
		lags[p.Name] = p.Lag
	}
	list, live := []admin.ClusterNode{}, make(map[string]bool)
	for _, p := range a.nodes.roster.Load().Nodes() {
		live[p.Name] = true
		list = append(list, admin.ClusterNode{
			Name: p.Name, ID: p.ID, Self: p.ID == a.nodes.links.node, Role: role(p.Store, p.Witness), Live: true, Ready: p.Ready,
			Reasons: append([]string{}, p.Reasons...), Leads: append([]string{}, p.Leads...), Lag: lags[p.Name],
			Interests: p.Interest, Dropped: p.Drops, Version: p.Version, Address: p.Address, URL: p.URL,
		})
	}
	for _, p := range st.Peers {
		if live[p.Name] && p.Name != "" {
			continue
		}
		why := "it was never heard of"
		switch {
		case p.Connected:
			why = "it is starting"
		case !p.Since.IsZero():
			why = "it is silent"
		}
		list = append(list, admin.ClusterNode{Name: p.Name, Role: role(p.Store, p.Witness), Reasons: []string{why}, Leads: []string{}, Lag: p.Lag, Address: p.Address})
	}
	return list
}

func role(store, witness bool) string {
	switch {
	case witness:
		return "witness"
	case store:
		return "store"
	}
	return "edge"
}
