package admin

import (
	"log/slog"
	"net/http"
	"strings"
)

// audit serves an admitted request and logs it if it can change something: the
// request, its sender and the status of the answer. It logs publications at
// debug level, because they are application traffic.
func (a *api) audit(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		a.routed.ServeHTTP(w, r)
		return
	}
	answer := &answered{ResponseWriter: w, status: http.StatusOK}
	a.routed.ServeHTTP(answer, r)
	level := slog.LevelInfo
	if strings.HasSuffix(r.URL.Path, "/messages") && r.Method == http.MethodPost {
		level = slog.LevelDebug
	}
	a.log.Log(r.Context(), level, "admin request", "method", r.Method, "path", brief(r.URL.Path),
		"status", answer.status, "remote", r.RemoteAddr, "user_agent", brief(r.UserAgent()))
}

// brief shortens a text from the caller for the log.
func brief(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// answered records the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

func (w *answered) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap supports [http.ResponseController].
func (w *answered) Unwrap() http.ResponseWriter { return w.ResponseWriter }
