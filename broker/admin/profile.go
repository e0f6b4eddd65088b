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

// profileRoutes serve the runtime's profiles under the names that net/http/pprof
// gives them. That package itself stays out: importing it would publish them, to
// everybody, on the http.DefaultServeMux of the program we are part of.
func profileRoutes() []route {
	return []route{
		{"GET", "/debug/pprof/{$}", profiles},
		{"GET", "/debug/pprof/{name}", profile},
	}
}

// profileInfo is one line of the list of profiles.
type profileInfo struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func profiles(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "offset", "limit")
	if p != nil {
		return p
	}
	all := []profileInfo{{"profile", 0}, {"trace", 0}} // those that take time
	for _, p := range pprof.Profiles() {
		all = append(all, profileInfo{p.Name(), p.Count()})
	}
	slices.SortFunc(all, func(x, y profileInfo) int { return cmp.Compare(x.Name, y.Name) })
	return answerPage(w, q, all)
}

func profile(w http.ResponseWriter, r *http.Request) *problem {
	name := r.PathValue("name")
	switch name {
	case "profile": // of the CPU
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

// record runs one of the two that take time, of which the runtime does one each
// at a time.
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
	// A server's WriteTimeout would cut it short; a writer that has no deadlines
	// needs none.
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

// attach sets the headers of a file to download.
func attach(w http.ResponseWriter, name string) {
	setHeaders(w, "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", url.PathEscape(name)))
}
