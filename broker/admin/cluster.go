package admin

// ClusterNode is a node of a cluster, as the one that is asked knows it.
type ClusterNode struct {
	Name string `json:"name"`
	// ID is that of its run: the ids of its messages begin with it. "" if the
	// node is not live.
	ID   string `json:"id"`
	Self bool   `json:"self"` // the node that is asked
	// Role is "store", "edge" (without a store) or "witness" (without clients).
	Role string `json:"role"`
	Live bool   `json:"live"`
	// Ready says that it takes new clients. Otherwise Reasons says why not.
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	// Leads is what it is the leader of: "meta" is the cluster.
	Leads []string `json:"leads"`
	// Lag is how many of the cluster's own records it has not confirmed yet.
	Lag       uint64 `json:"lag"`
	Interests int    `json:"interests"` // destinations and patterns with subscribers
	Dropped   uint64 `json:"dropped"`   // messages between nodes that it has lost
	Version   string `json:"version"`
	Address   string `json:"address"` // where other nodes connect
	URL       string `json:"url"`     // where clients connect
}
