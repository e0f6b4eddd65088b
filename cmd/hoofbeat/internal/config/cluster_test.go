package config

import (
	"strings"
	"testing"
)

// Configurations of nodes that are accepted.
func TestClusters(t *testing.T) {
	const peers = "peers: ['10.0.0.1:6222', '10.0.0.2:6222', '10.0.0.3:6222']"
	for name, text := range map[string]string{
		"a node with a store": "store: {dir: a}\ncluster: {name: n1, listen: '10.0.0.1:6222', secret: 0123456789abcdef, " + peers + "}\n",
		"on all interfaces":   "store: {dir: a}\ncluster: {name: n1, listen: ':6222', advertise: '10.0.0.1:6222', secret: 0123456789abcdef, " + peers + "}\n",
		"a node without":      "cluster: {name: n4, listen: '127.0.0.1:0', " + peers + "}\n",
		"a witness":           "store: {dir: a}\ncluster: {name: n3, listen: '10.0.0.3:6222', witness: true, secret: 0123456789abcdef, " + peers + "}\n",
		"with the same node":  "node: n4\ncluster: {name: n4, listen: '127.0.0.1:0', " + peers + "}\n",
	} {
		c, err := load(t, "queues: {mode: broadcast}\n"+text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !c.Clustered() || c.NodeName() != c.Cluster.Name || c.ClusterKey() != "cluster.listen" {
			t.Errorf("%s: %+v", name, c.Cluster)
		}
		if lines := c.Ineffective(); len(lines) > 0 {
			t.Errorf("%s: %q", name, lines)
		}
	}
	// A key that is for later says so.
	c, err := load(t, "queues: {mode: broadcast}\ncluster: {name: n4, listen: '127.0.0.1:0', publish_timeout: 5s, "+peers+"}\n")
	if err != nil {
		t.Fatal(err)
	}
	if lines := c.Ineffective(); len(lines) != 1 || !strings.Contains(lines[0], "cluster.publish_timeout has no effect") {
		t.Errorf("%q", lines)
	}
}

// No error and no warning has the secret in it.
func TestX40ClusterSecretIsNotTold(t *testing.T) {
	_, err := load(t, "cluster: {secret: planted-secret, url: ['nats://user:planted-secret@a:4222'], name: n1, listen: ':1'}\n")
	if err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("the error is %v", err)
	}
}
