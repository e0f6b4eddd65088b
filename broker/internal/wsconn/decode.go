package wsconn

import (
	"errors"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

// decoder decodes the client's bytes, in portions of any size. Its results
// depend on the bytes alone, never on the portions.
type decoder struct {
	frame    ws.Header // current frame; Length counts down
	size     int64     // payload of the message so far, including this frame
	control  *control  // set only while the payload of a control frame is incomplete
	message  *gathered // set only while a compressed message is incomplete
	head     header
	utf8     utf8Check
	maskPos  uint8 // 0..3: position in the mask of the next byte
	inFrame  bool  // frame is valid
	more     bool  // inside a message: its last frame was not final
	text     bool  // the message is a text message
	deflate  bool  // permessage-deflate was negotiated
	deflated bool  // the message is compressed
}

// control collects the payload of a control frame that arrives in parts.
type control struct {
	b [ws.MaxControlFramePayloadSize]byte
	n int
}

// feed passes the payload in p to h, which may change the limit meanwhile. The
// first result is how the peer ended the connection, the second an error of h.
func (d *decoder) feed(h Handler, p []byte, limit *int64) (end, err error) {
	for len(p) > 0 {
		if !d.inFrame {
			n, end := d.begin(p, *limit)
			if end != nil || !d.inFrame {
				return end, nil
			}
			p = p[n:]
		}
		n := int(min(int64(len(p)), d.frame.Length))
		part := p[:n]
		p = p[n:]
		ws.Cipher(part, d.frame.Mask, int(d.maskPos))
		d.maskPos = (d.maskPos + uint8(n&3)) & 3
		d.frame.Length -= int64(n)
		d.inFrame = d.frame.Length > 0
		switch {
		case d.frame.OpCode.IsControl():
			end = d.controlPart(h, part)
		case d.deflated:
			end, err = d.deflatedPart(h, part, *limit)
		default:
			end, err = d.payload(h, part, !d.inFrame && !d.more)
		}
		if end != nil || err != nil {
			return end, err
		}
	}
	return nil, nil
}

// begin decodes a frame header from the bytes kept before and p, and returns
// how many bytes of p it consumed. If inFrame is still false, it consumed all
// of p and the header continues in the next portion.
func (d *decoder) begin(p []byte, limit int64) (int, error) {
	f := &d.frame
	n, complete, err := d.head.next(f, p)
	if !complete {
		return n, nil
	}
	state := ws.StateServerSide
	if d.more {
		state = state.Set(ws.StateFragmented)
	}
	deflated := false
	if err == nil && d.deflate {
		*f, deflated, err = wsflate.UnsetBit(*f)
	}
	if err == nil {
		err = ws.CheckHeader(*f, state)
	}
	if err != nil {
		return n, protocolError(err)
	}
	if f.OpCode.IsData() {
		if !d.more {
			d.size, d.text, d.deflated = 0, f.OpCode == ws.OpText, deflated
		}
		room := limit
		if d.deflated {
			room = deflatedSize(limit)
		}
		if limit > 0 && f.Length > room-d.size {
			return n, errTooBig(limit)
		}
		d.size += f.Length
		d.more = !f.Fin
	}
	d.inFrame, d.maskPos = true, 0
	return n, nil
}

// payload passes on part p of a message. last says that the message ends with
// it.
func (d *decoder) payload(h Handler, p []byte, last bool) (end, err error) {
	valid := len(p)
	if d.text {
		valid = d.utf8.next(p)
	}
	if valid > 0 {
		if err := h.Data(p[:valid]); err != nil {
			return nil, err
		}
	}
	if valid < len(p) || last && d.utf8.open() {
		return errInvalidUTF8, nil
	}
	return nil, nil
}

func (d *decoder) controlPart(h Handler, p []byte) (end error) {
	if d.inFrame || d.control != nil {
		if d.control == nil {
			d.control = new(control)
		}
		d.control.n += copy(d.control.b[d.control.n:], p)
		if d.inFrame {
			return nil
		}
		p = d.control.b[:d.control.n]
		d.control = nil
	}
	switch d.frame.OpCode {
	case ws.OpPing:
		h.Ping(p)
	case ws.OpPong:
		h.Pong()
	default:
		return closeError(p)
	}
	return nil
}

// closeError decodes the payload of a close frame.
func closeError(p []byte) error {
	switch len(p) {
	case 0:
		return &CloseError{Code: int(ws.StatusNoStatusRcvd)}
	case 1:
		return errClosePayload
	}
	code, reason := ws.ParseCloseFrameData(p)
	check := code
	switch {
	case code > ws.StatusRangePrivate.Max:
		return errCloseCode
	case code >= 1012 && code <= 1014:
		// 1012 service restart, 1013 try again later, 1014 bad gateway:
		// registered with IANA after RFC 6455, so the library does not know
		// them.
		check = ws.StatusGoingAway
	}
	if err := ws.CheckCloseFrameData(check, reason); err != nil {
		if errors.Is(err, ws.ErrProtocolInvalidUTF8) {
			return errInvalidUTF8
		}
		return protocolError(err)
	}
	return &CloseError{Code: int(code), Reason: reason}
}
