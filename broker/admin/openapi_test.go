package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

type openAPISchema struct {
	Properties map[string]json.RawMessage
	Required   []string
}

type openAPIParameter struct {
	Ref string `json:"$ref"`
}

type openAPIOperation struct {
	OperationID string
	Security    *[]any
	Parameters  []openAPIParameter
	Responses   map[string]any
}

func readOpenAPI(t *testing.T) (paths map[string]map[string]openAPIOperation, schemas map[string]openAPISchema) {
	t.Helper()
	s := start(t, broker.Options{}, Options{})
	a := s.do(t, "GET", "/api/v1/openapi.json", "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]openAPIOperation
		Components struct{ Schemas map[string]openAPISchema }
	}
	if err := json.Unmarshal(a.body, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%v %q", err, doc.OpenAPI)
	}
	return doc.Paths, doc.Components.Schemas
}

// Exactly the existing routes are described, each with every status that it
// uses.
func TestOpenAPIDescribesTheRoutes(t *testing.T) {
	routes := []string{"GET /livez", "GET /readyz"}
	for _, rt := range (&api{}).routes() {
		routes = append(routes, rt.method+" "+rt.path)
	}
	var described []string
	ids := make(map[string]bool)
	paths, _ := readOpenAPI(t)
	for path, operations := range paths {
		for method, o := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
			if o.OperationID == "" || ids[o.OperationID] {
				t.Errorf("%s %s: operationId %q", method, path, o.OperationID)
			}
			ids[o.OperationID] = true
			want := []string{"400", "401", "429"}
			switch {
			case !strings.HasPrefix(path, "/api/"):
				if o.Security == nil || len(*o.Security) != 0 {
					t.Errorf("%s is described as needing the token", path)
				}
				continue
			case o.Security != nil:
				t.Errorf("%s %s: has security of its own", method, path)
			case method == "post", method == "put":
				want = append(want, "403", "413", "415")
			case method == "delete":
				want = append(want, "403")
			}
			want = append(want, map[string][]string{
				"/api/v1/messages":                           {"202", "404", "503"},
				"/api/v1/queues":                             {"200"},
				"/api/v1/queues/{queue}":                     {"200", "404"},
				"/api/v1/queues/{queue}/messages":            {"200", "404", "503"},
				"/api/v1/queues/{queue}/messages/{sequence}": {"200", "404", "409", "503"},
				"/api/v1/queues/{queue}/moves":               {"200", "404", "503"},
				"/api/v1/history":                            {"200"},
				"/api/v1/history/{destination}":              map[string][]string{"get": {"200", "404"}, "delete": {"200", "404", "503"}}[method],
				"/api/v1/subscriptions":                      {"200"},
				"/api/v1/users/{user}/subscriptions":         {"200", "503"},
				"/api/v1/users/{user}/subscriptions/{name}":  {"204", "404", "503"},
				"/api/v1/delayed":                            {"200"},
				"/api/v1/handlers":                           {"200"},
				"/api/v1/events":                             {"200"},
				"/api/v1/cluster":                            {"200"},
				"/api/v1/delayed/{messageId}":                {"204", "404", "503"},
				"/api/v1/users/{user}/messages":              {"200", "503"},
				"/api/v1/tickets":                            {"201", "404", "409", "503"},
				"/api/v1/revocations":                        {"200", "404"},
				"/api/v1/operations":                         {"200", "404"},
				"/api/v1/operations/{operationId}":           map[string][]string{"get": {"200", "404"}, "put": {"201", "404", "409", "503"}}[method],
				"/api/v1/operations/{operationId}/result":    {"200", "404", "409", "503"},
				"/api/v1/sessions/{id}":                      {"404"},
				"/api/v1/presence":                           {"200", "404"},
				"/api/v1/store/export":                       {"200", "404", "503"},
			}[path]...)
			for _, status := range want {
				if o.Responses[status] == nil {
					t.Errorf("%s %s: no response %s", method, path, status)
				}
			}
			for _, name := range []string{"user", "id", "operationId", "messageId", "queue", "sequence", "destination"} {
				described := slices.Contains(o.Parameters, openAPIParameter{"#/components/parameters/" + name})
				if described != strings.Contains(path, "{"+name+"}") {
					t.Errorf("%s %s: parameter %q of the path: described is %v", method, path, name, described)
				}
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if !slices.Equal(routes, described) {
		t.Errorf("described\n%v\nserved\n%v", described, routes)
	}
}

// The schemas have exactly the fields of the types.
func TestOpenAPIDescribesTheTypes(t *testing.T) {
	_, schemas := readOpenAPI(t)
	types := map[string]any{
		"Published": published{}, "Removed": removed{}, "Delivered": delivered{}, "Stats": fullStats{}, "StoreStats": StoreStats{}, "StreamStats": StreamStats{}, "Health": health{}, "Problem": problem{},
		"AccessToken": grantedToken{}, "Ticket": minted{}, "Revoked": revoked{}, "Opened": opened{}, "Waiting": waiting{}, "Notified": notified{},
		"Session": session{}, "User": user{}, "Destination": destination{},
		"Subscription": subscription{}, "SubscriptionPage": page[subscription]{}, "DeletedSubscriptions": deletedSubscriptions{},
		"Queue": queue{}, "QueuePage": page[queue]{}, "QueuedMessage": queuedMessage{}, "QueuedMessagePage": messagePage{}, "Moved": moved{},
		"History": history{}, "HistoryPage": page[history]{},
		"Delayed": delayed{}, "DelayedPage": page[delayed]{},
		"Presence": present{}, "PresentUser": broker.PresentUser{},
		"Handler": HandlerState{}, "HandlerPage": page[HandlerState]{},
		"ClusterNode": ClusterNode{}, "ClusterPage": page[ClusterNode]{},
		"Events": EventsState{}, "EventsPage": page[EventsState]{},
		"SessionPage": page[session]{}, "WaitingPage": page[waiting]{}, "UserPage": page[user]{}, "DestinationPage": page[destination]{},
	}
	for name, v := range types {
		var fields, required []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			field, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || field == "-" {
				continue
			}
			fields = append(fields, field)
			if option != "omitempty" {
				required = append(required, field)
			}
		}
		var described []string
		for field := range schemas[name].Properties {
			described = append(described, field)
		}
		slices.Sort(fields)
		slices.Sort(described)
		if !slices.Equal(fields, described) {
			t.Errorf("%s: described %v, written %v", name, described, fields)
		}
		if !slices.Equal(required, schemas[name].Required) {
			t.Errorf("%s: required %v, always written %v", name, schemas[name].Required, required)
		}
	}
	// Request bodies have no type: the parser must know each field.
	read := map[string]struct {
		fields int
		parse  func([]byte) error
	}{
		"Message":    {5, func(data []byte) error { _, err := parseMessage(data); return err }},
		"Grant":      {6, func(data []byte) error { _, err := parseGrant(data); return err }},
		"Operation":  {3, func(data []byte) error { _, err := parseOperation(data); return err }},
		"Result":     {1, func(data []byte) error { _, err := parseResult(data); return err }},
		"Move":       {5, func(data []byte) error { _, _, err := parseMove(data); return err }},
		"Revocation": {3, func(data []byte) error { _, err := parseRevocation(data); return err }},
	}
	for name, want := range read {
		fields := schemas[name].Properties
		if len(fields) != want.fields {
			t.Errorf("%s has %d fields", name, len(fields))
		}
		for field := range fields {
			if err := want.parse(fmt.Appendf(nil, `{%q:%s}`, field, map[bool]string{true: "1", false: "true"}[field == "backend"])); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q must be", field)) {
				t.Errorf("%s.%s: %v", name, field, err)
			}
		}
	}
	for name := range schemas {
		_, written := types[name]
		if _, ok := read[name]; !ok && !written {
			t.Errorf("nothing is written or read as %s", name)
		}
	}
}

// Every reference resolves.
func TestOpenAPIReferences(t *testing.T) {
	var doc any
	if err := json.Unmarshal(openAPIDocument, &doc); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if to, ok := v["$ref"].(string); ok {
				at := doc
				for _, name := range strings.Split(strings.TrimPrefix(to, "#/"), "/") {
					m, _ := at.(map[string]any)
					at = m[name]
				}
				if at == nil {
					t.Errorf("%s leads nowhere", to)
				}
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(doc)
}
