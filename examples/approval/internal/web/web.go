// Package web holds the shared parts of the demo's pages: templates, style,
// scripts, and the headers of every reply.
package web

import (
	"bytes"
	"embed"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

//go:embed pages
var pages embed.FS

//go:embed static
var static embed.FS

var templates = template.Must(template.ParseFS(pages, "pages/*.html"))

// Page answers with the named page.
func Page(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // pages and their data are part of this program
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser may be gone
}

// Redirect redirects a browser that has sent a form to a path of this site.
func Redirect(w http.ResponseWriter, path string) {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

// Site adds the shared parts of a site to a handler: style and scripts at
// /static/, npm's stompjs at /stompjs/, security headers, and a check of the
// Host header. Without that check, a site whose name resolves to 127.0.0.1
// could act as ours. origin is the site's own origin; its forms may also lead
// to formTargets.
func Site(origin, modules string, next http.Handler, formTargets ...string) (http.Handler, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	policy := strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
		"connect-src 'self' ws://" + u.Host, "form-action 'self' " + strings.Join(formTargets, " "),
		"base-uri 'none'", "frame-ancestors 'none'",
	}, "; ")
	mux := http.NewServeMux()
	mux.Handle("GET /static/", noCache(http.FileServerFS(static)))
	stompjs := http.FileServer(http.Dir(filepath.Join(modules, "@stomp", "stompjs", "esm6")))
	mux.Handle("GET /stompjs/", noCache(http.StripPrefix("/stompjs/", stompjs)))
	mux.Handle("/", next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if r.Host != u.Host {
			http.Error(w, "this site is "+origin, http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// noCache makes the browser ask whether a file has changed.
func noCache(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// Loopback reports whether a listen address is reachable from this machine
// only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && httpsec.Loopback(host)
}
