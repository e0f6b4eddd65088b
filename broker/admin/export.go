package admin

import (
	"net/http"
	"time"
)

// exportPatience is how long the client of an export may take nothing.
const exportPatience = 15 * time.Minute

// exportStore answers with everything in the store. The connection breaks if
// that cannot be completed.
func (a *api) exportStore(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	if a.export == nil {
		return problemf(http.StatusNotFound, "this broker has no store on disk")
	}
	d := &download{w: w, control: http.NewResponseController(w)}
	// The server's ReadTimeout would end the context. A connection without
	// deadlines needs none.
	_ = d.control.SetReadDeadline(time.Time{})
	err := a.export(r.Context(), d)
	if err == nil {
		return nil
	}
	if !d.began {
		return problemf(http.StatusServiceUnavailable, "%v", err)
	}
	a.log.Error("an export of the store was not completed", "error", err, "remote", r.RemoteAddr)
	panic(http.ErrAbortHandler) // the client must not take it for complete
}

// download is the body of a long answer.
type download struct {
	w       http.ResponseWriter
	control *http.ResponseController
	began   bool
}

func (d *download) Write(b []byte) (int, error) {
	if !d.began {
		d.began = true
		setHeaders(d.w, "application/x-tar")
	}
	_ = d.control.SetWriteDeadline(time.Now().Add(exportPatience)) // see above
	return d.w.Write(b)
}
