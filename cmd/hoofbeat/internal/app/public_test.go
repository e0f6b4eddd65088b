package app

import (
	"net/http/httptest"
	"testing"
)

// The protocol of SockJS wants 404 for what the mux would redirect.
func TestEmptySegmentsAreNotFound(t *testing.T) {
	a, err := New(Options{Config: load(t, quiet)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for path, want := range map[string]int{
		"/ws//": 404, "/ws///": 404, "/ws//a/xhr": 404, "/ws/000//xhr": 404, "/ws/a/b//xhr": 404, "/ws/info//": 404,
		"/ws": 200, "/ws/": 200, "/ws/info": 200, "/livez": 200, "//livez": 307,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://127.0.0.1:8080/", nil)
		r.URL.Path = path
		a.publicHandler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s answered %d, want %d", path, w.Code, want)
		}
	}
}
