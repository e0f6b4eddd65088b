package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"time"
)

// profileRoutes serves the runtime's profiles under the same names as
// net/http/pprof. It does not import that package, which would also publish the
// profiles, without a token, on the program's http.DefaultServeMux.
func profileRoutes() []route {
	return []route{
		{"GET", "/debug/pprof/{$}", profiles},
		{"GET", "/debug/pprof/{name}", profile},
	}
}

// profileInfo is an entry of the list of profiles.
type profileInfo struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func profiles(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "offset", "limit")
	if p != nil {
		return p
	}
	all := []profileInfo{{"profile", 0}, {"trace", 0}} // these two record for some time
	for _, p := range pprof.Profiles() {
		all = append(all, profileInfo{p.Name(), p.Count()})
	}
	slices.SortFunc(all, func(x, y profileInfo) int { return cmp.Compare(x.Name, y.Name) })
	return answerPage(w, q, all)
}

func profile(w http.ResponseWriter, r *http.Request) *problem {
	name := r.PathValue("name")
	switch name {
	case "profile": // CPU profile
		return record(w, r, 30, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	case "trace":
		return record(w, r, 1, func() error { return trace.Start(w) }, trace.Stop)
	}
	q, p := query(r, "debug", "gc")
	if p != nil {
		return p
	}
	debug, p := number(q, "debug", 0, 0, 2)
	if p != nil {
		return p
	}
	found := pprof.Lookup(name)
	if found == nil {
		return problemf(http.StatusNotFound, "there is no profile of this name")
	}
	if name == "heap" && q.Has("gc") {
		runtime.GC()
	}
	if debug > 0 {
		setHeaders(w, "text/plain; charset=utf-8")
	} else {
		attach(w, name)
	}
	_ = found.WriteTo(w, debug) // the client may be gone
	return nil
}

// record runs a CPU profile or a trace. The runtime runs at most one of each at
// a time.
func record(w http.ResponseWriter, r *http.Request, byDefault int, start func() error, stop func()) *problem {
	q, p := query(r, "seconds")
	if p != nil {
		return p
	}
	seconds, p := number(q, "seconds", byDefault, 1, 300)
	if p != nil {
		return p
	}
	length := time.Duration(seconds) * time.Second
	// Extend the server's WriteTimeout, which would cut the recording short. A
	// writer without deadlines needs no extension.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(length + time.Minute))
	attach(w, r.PathValue("name"))
	if start() != nil {
		w.Header().Del("Content-Disposition")
		return problemf(http.StatusConflict, "another recording is going on")
	}
	defer stop()
	ctx, cancel := context.WithTimeout(r.Context(), length)
	defer cancel()
	<-ctx.Done()
	return nil
}

// attach sets the headers of a file download.
func attach(w http.ResponseWriter, name string) {
	setHeaders(w, "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", url.PathEscape(name)))
}
