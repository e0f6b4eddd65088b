package admin

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

func TestCluster(t *testing.T) {
	want := []ClusterNode{
		{Name: "n1", ID: "a", Self: true, Role: "store", Live: true, Ready: true, Reasons: []string{}, Leads: []string{"meta"}, Lag: 1, Interests: 2, Dropped: 3, Version: "v", Address: "a:1", URL: "ws://a/ws"},
		{Name: "n2", Role: "store", Reasons: []string{"not heard of"}, Leads: []string{}},
	}
	s := start(t, broker.Options{}, Options{Cluster: func() []ClusterNode { return want }})
	var p page[ClusterNode]
	s.do(t, "GET", "/api/v1/cluster", "").json(t, http.StatusOK, &p)
	if p.Total != 2 || !reflect.DeepEqual(p.Items, want) {
		t.Errorf("the list is %+v", p)
	}
	s.do(t, "GET", "/api/v1/cluster?x=1", "").problem(t, http.StatusBadRequest, "offset, limit")
	// A broker that is alone is not part of a cluster.
	start(t, broker.Options{}, Options{}).do(t, "GET", "/api/v1/cluster", "").json(t, http.StatusOK, &p)
	if p.Total != 0 || len(p.Items) != 0 {
		t.Errorf("alone it is %+v", p)
	}
}
