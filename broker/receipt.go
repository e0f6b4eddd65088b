package broker

import (
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/frames"
)

// receipt pushes the RECEIPT that f asked for, if it did.
func (s *session) receipt(f *frames.Frame, bt *batch) {
	if seg := s.receiptFrame(f); seg != nil {
		s.out.push(seg, bt)
	}
}

func (s *session) receiptFrame(f *frames.Frame) []byte {
	id, ok := f.Lookup(frames.HeaderReceipt)
	if !ok {
		return nil
	}
	b := append(make([]byte, room, room+25+len(id)), "RECEIPT\n"...)
	b = frames.AppendHeader(b, s.version, frames.HeaderReceiptID, id)
	b = append(b, '\n', 0)
	framing := s.wire.framing()
	return framed(terminated(b, framing), framing, !utf8.ValidString(id))
}
