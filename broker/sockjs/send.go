package sockjs

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
)

// send handles xhr_send. It answers when the broker has taken the data, so a
// client cannot send faster than the broker reads. The protocol defines the
// error texts.
func (h *Endpoint) send(w http.ResponseWriter, r *http.Request, id string) {
	s := h.find(w, r, id)
	if s == nil {
		return
	}
	allowOrigin(w, r)
	noStore(w)
	h.o.issue(w, r)
	select {
	case s.sender <- struct{}{}: // one request at a time keeps the frames in order
		defer func() { <-s.sender }()
	case <-s.done:
	case <-r.Context().Done():
		return
	}
	if s.ended() {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(h.o.BodyLimit)))
	if err != nil {
		status, reason := http.StatusBadRequest, "the body ended too early"
		if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
			status, reason = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is too large: %d bytes is a fixed limit", h.o.BodyLimit)
		}
		auth.WriteRefusal(w, &auth.Refusal{Status: status, Reason: reason})
		return
	}
	if len(body) == 0 {
		http.Error(w, "Payload expected.", http.StatusInternalServerError)
		return
	}
	data, err := s.dec.decode(nil, body)
	if err != nil {
		http.Error(w, "Broken JSON encoding.", http.StatusInternalServerError)
		return
	}
	s.sent()
	if len(data) > 0 && !s.put(r.Context(), data) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if len(data) == 0 {
		s.alive()
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(http.StatusNoContent)
}
