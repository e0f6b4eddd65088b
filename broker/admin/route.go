package admin

import (
	"net/http"
	"slices"
	"strings"
)

// route is one operation of the API. If serve returns a problem, that is the
// answer.
type route struct {
	method, path string
	serve        func(http.ResponseWriter, *http.Request) *problem
}

// newMux returns a handler for the routes. It answers unknown paths and methods
// with a problem too.
func newMux(routes []route) http.Handler {
	mux := http.NewServeMux()
	allowed := make(map[string][]string)
	for _, rt := range routes {
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
			if p := rt.serve(w, r); p != nil {
				p.write(w)
			}
		})
		allowed[rt.path] = append(allowed[rt.path], rt.method)
		if rt.method == http.MethodGet {
			allowed[rt.path] = append(allowed[rt.path], http.MethodHead) // ServeMux serves HEAD as GET
		}
	}
	for path, methods := range allowed {
		slices.Sort(methods)
		allow := strings.Join(methods, ", ")
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			problemf(http.StatusMethodNotAllowed, "this path takes %s", allow).write(w)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problemf(http.StatusNotFound, "there is nothing at this path").write(w)
	})
	return mux
}
