package encode

import (
	"testing"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/frames"
)

// The frames of one session, in each framing; they are never compressed.
func TestSessionFrames(t *testing.T) {
	for _, f := range framings {
		for id, binary := range map[string]bool{"1": false, "é": false, "\xff": true} {
			want := frames.Frame{Command: "RECEIPT", Headers: []frames.Header{{Name: "receipt-id", Value: id}, {Name: "duplicate", Value: "true"}}}
			for name, p := range map[string][]byte{"Receipt": Receipt(f, frames.V12, id, "duplicate:true\n"), "Frame": Frame(f, frames.V12, &want)} {
				fr, op := read(t, f, frames.V12, p)
				if fr.Command != "RECEIPT" || fr.Get("receipt-id") != id || fr.Get("duplicate") != "true" {
					t.Errorf("framing %d, %s: %v", f, name, fr)
				}
				if f.webSocket() && (op == ws.OpBinary) != binary {
					t.Errorf("framing %d, %s of %q: opcode %d", f, name, id, op)
				}
			}
		}
		beat := HeartBeat(f)
		if f.webSocket() {
			wf, err := readFrame(beat)
			if err != nil || wf.Header.OpCode != ws.OpText || !wf.Header.Fin || wf.Header.Rsv != 0 {
				t.Errorf("framing %d: the heart-beat is %q, %v", f, beat, err)
			}
			beat = wf.Payload
		}
		if string(beat) != "\n" {
			t.Errorf("framing %d: the heart-beat is %q", f, beat)
		}
	}
}
