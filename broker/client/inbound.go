package client

import (
	"bufio"
	"bytes"

	"github.com/go-stomp/stomp/v3/frame"
)

// inbound scans the incoming stream for ERROR and RECEIPT frames. go-stomp
// passes an ERROR only to calls that are waiting at that moment: after a SEND
// without a receipt it is lost, and Disconnect may take it for success. It
// cannot pass on the RECEIPT of a SUBSCRIBE.
type inbound struct {
	receipt func(id string) // called with the receipt-id of each RECEIPT, unless nil

	state inboundState
	head  []byte // command and headers of the current frame
	line  int    // start of its last line
	left  int    // bytes of body and NUL left, -1 = up to the NUL
	raw   []byte // the whole ERROR frame
	keep  bool   // the current frame is an ERROR
}

type inboundState uint8

const (
	betweenFrames inboundState = iota
	inHead
	inBody
	lost // the headers exceed maxAnswer: scanning has stopped, go-stomp may read on
)

// feed scans the next bytes of the stream. It returns the ERROR if one ends in
// them. Nothing follows an ERROR (STOMP 1.2, "ERROR").
func (in *inbound) feed(p []byte) *ErrorFrame {
	for len(p) > 0 {
		switch in.state {
		case betweenFrames:
			p = bytes.TrimLeft(p, "\r\n")
			in.head, in.line, in.state = in.head[:0], 0, inHead
			if len(p) == 0 {
				in.state = betweenFrames
			}
		case inHead:
			p = in.feedHead(p)
		case inBody:
			n := in.left
			if n < 0 {
				n = bytes.IndexByte(p, 0) + 1
			}
			ended := n > 0 && n <= len(p)
			if !ended {
				n = len(p)
			}
			if in.keep && len(in.raw)+n <= maxAnswer {
				in.raw = append(in.raw, p[:n]...)
			}
			p = p[n:]
			if in.left > 0 {
				in.left -= n
			}
			if !ended {
				return nil
			}
			in.state = betweenFrames
			if in.keep {
				return in.errorFrame()
			}
		case lost:
			return nil
		}
	}
	return nil
}

// feedHead consumes one line of command and headers and returns the rest.
func (in *inbound) feedHead(p []byte) []byte {
	n := bytes.IndexByte(p, '\n') + 1
	ended := n > 0
	if !ended {
		n = len(p)
	}
	if in.head = append(in.head, p[:n]...); len(in.head) > maxAnswer {
		in.state = lost
		return nil
	}
	if !ended {
		return p[n:]
	}
	if last := in.head[in.line:]; len(last) > 2 || len(bytes.TrimSpace(last)) > 0 {
		in.line = len(in.head)
		return p[n:]
	}
	in.state, in.left = inBody, -1
	if length, ok := bodyLength(in.head); ok {
		in.left = length + 1
	}
	line, _, _ := bytes.Cut(in.head, []byte("\n"))
	command := string(bytes.TrimSuffix(line, []byte("\r")))
	if in.keep = command == frame.ERROR; in.keep {
		in.raw = append(in.raw[:0], in.head...)
	}
	if command == frame.RECEIPT && in.receipt != nil {
		in.receipt(receiptID(in.head))
	}
	return p[n:]
}

// errorFrame parses the ERROR. One that is too long or malformed still ends the
// session, but has no text.
func (in *inbound) errorFrame() *ErrorFrame {
	f, err := readAnswer(bufio.NewReader(bytes.NewReader(in.raw)))
	if err != nil {
		f = frame.New(frame.ERROR)
	}
	return newErrorFrame(f)
}

func newErrorFrame(f *frame.Frame) *ErrorFrame {
	return &ErrorFrame{Message: f.Header.Get(frame.Message), Body: string(f.Body), Header: f.Header}
}
