package wire

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
)

// script is a transport that receives what it is given and records the rest.
type script struct {
	in   []string
	end  error
	sent []string
	fail error
}

func (s *script) Receive() ([]byte, error) {
	p := []byte(s.in[0])
	if s.in = s.in[1:]; len(s.in) == 0 {
		return p, s.end
	}
	return p, nil
}

func (s *script) Send(list [][]byte) error {
	for _, p := range list {
		s.sent = append(s.sent, string(p))
	}
	return s.fail
}

func (s *script) Close(code int, reason string) error {
	s.sent = append(s.sent, fmt.Sprint(code, " ", reason))
	return nil
}

// recorder is a Receiver that records its calls.
type recorder struct {
	Receiver
	calls []string
	fail  error
}

func (r *recorder) Data(p []byte) error {
	r.calls = append(r.calls, "data "+string(p))
	return r.fail
}
func (r *recorder) Heard()    { r.calls = append(r.calls, "heard") }
func (r *recorder) BatchEnd() { r.calls = append(r.calls, "end") }

// What comes with the error of a transport is received before it, and an end
// that wraps io.EOF is an ordinary end.
func TestMessageReceives(t *testing.T) {
	lost, refused := errors.New("lost"), errors.New("refused")
	for _, c := range []struct {
		in              []string
		end, fail, want error
		calls           []string
	}{
		{in: []string{"a", "", "b"}, end: lost, want: lost, calls: []string{"heard", "data a", "end", "heard", "end", "heard", "data b", "end"}},
		{in: []string{""}, end: fmt.Errorf("closed: %w", io.EOF), want: io.EOF, calls: []string{"heard", "end"}},
		{in: []string{"a", "b"}, fail: refused, want: refused, calls: []string{"heard", "data a"}},
	} {
		r := &recorder{fail: c.fail}
		if err := NewMessage(&script{in: c.in, end: c.end}).Receive(r); err != c.want || !slices.Equal(r.calls, c.calls) {
			t.Errorf("%q: got %v after %q, want %v after %q", c.in, err, r.calls, c.want, c.calls)
		}
	}
}

// source is a Source.
type source struct {
	Source
	list [][]byte
}

func (f *source) Frames() (list [][]byte) {
	list, f.list = f.list, nil
	return list
}

func TestMessageWrites(t *testing.T) {
	failed := errors.New("failed")
	s := &script{fail: failed}
	w, f := NewMessage(s), &source{list: [][]byte{[]byte("one"), []byte("three")}}
	if n, err := w.Write(f); n != 8 || err != failed {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := w.Write(f); n != 0 || err != nil {
		t.Errorf("nothing was left: got %d, %v", n, err)
	}
	w.Finish(0, 1000, "done")
	w.Abort()
	if want := []string{"one", "three", "1000 done", "1006 "}; !slices.Equal(s.sent, want) {
		t.Errorf("the transport got %q, want %q", s.sent, want)
	}
}

type textOnly struct{ *script }

func (textOnly) TextOnly() bool { return true }
func (textOnly) Kind() string   { return "pigeon" }

func TestMessageKind(t *testing.T) {
	for _, c := range []struct {
		w       *Message
		framing encode.Framing
		kind    string
	}{
		{NewMessage(new(script)), encode.FramingMessage, "transport"},
		{NewMessage(textOnly{new(script)}), encode.FramingText, "pigeon"},
	} {
		if c.w.Framing() != c.framing || c.w.Kind() != c.kind || c.w.Remote().IsValid() {
			t.Errorf("got framing %d, kind %q, remote %v", c.w.Framing(), c.w.Kind(), c.w.Remote())
		}
	}
}
