package frames

import "bytes"

// Decoder decodes a stream of bytes into frames. It is a push parser: the
// caller passes each chunk it reads, cut anywhere, to [Decoder.Feed], and then
// calls [Decoder.Next] until there are no more frames. A Decoder has no reader,
// no goroutine and no lock; only one goroutine may use it at a time. The zero
// value is ready for use. Do not copy a Decoder.
//
// It is lenient where the input is unambiguous: lines may end with CR LF in
// every version; a colon in a value needs no escape; the NUL itself may end the
// header block, as in the DISCONNECT example of the specifications; NULs
// between frames are skipped; a frame that must not have a body may have ends
// of line in its place. It is strict where a different reading would be
// possible: it rejects a content-length that is not plain digits, a missing
// NUL, a bare carriage return in the header block, and an undefined escape
// sequence.
//
// A frame that lies within one chunk is not copied. An unfinished frame is kept
// in a pooled buffer, which an idle Decoder does not hold.
type Decoder struct {
	in     []byte     // fed, not yet consumed
	cur    []byte     // consumed part of the command and headers, later of the body: the bytes before in, or ws.buf
	ws     *workspace // memory for the current frame; nil between frames
	failed *failure   // set once decoding has failed
	limits Limits

	line   int // start of the current header line in cur
	lines  int // header lines so far
	start  int // start of the header block in cur
	head   int // size of the command and header block, once read
	length int // content-length, -1 = none

	version Version
	state   state
	cr      bool // a carriage return between frames awaits its line feed
	owned   bool // cur is ws.buf
}

type state uint8

const (
	between   state = iota // skipping ends of line
	inCommand              // inside the command line
	inHeaders              // inside the header block
	inBody                 // inside the body, or before the NUL
	complete               // the frame in ws was returned
)

// SetVersion sets the negotiated version, which decides how the headers of all
// further frames are unescaped. Call it between two calls of Next, since one
// chunk may contain CONNECT and SEND.
func (d *Decoder) SetVersion(v Version) { d.version = v }

// SetLimits replaces the limits, which initially are the defaults of [Limits].
// It may be called at any time: a server can use lower limits before CONNECTED.
func (d *Decoder) SetLimits(l Limits) { d.limits = l }

// Feed passes the next bytes to the Decoder. The Decoder keeps p, without a
// copy, until Next returns ok == false; do not change p before that. If the
// caller feeds again earlier (say, because frames after a CONNECT must wait for
// authentication), Feed copies the rest and p into one buffer, without a limit;
// it is better not to read on in that case.
func (d *Decoder) Feed(p []byte) {
	switch {
	case d.failed != nil:
	case len(d.in) == 0:
		d.in = p
	default:
		d.in = append(d.in[:len(d.in):len(d.in)], p...)
	}
}

// Next returns the next frame, or ok == false if it needs more bytes. The
// frame, its Headers slice and its Body are valid until the next call of Next,
// Feed or Release. Its strings stay valid, but each keeps the whole header
// block of the frame in memory, so clone those that you keep for long. Next
// skips heart-beats, that is, ends of line between frames.
//
// The error is a [*SyntaxError] or a [*LimitError]. After an error the Decoder
// is unusable, and every further call returns the same error.
func (d *Decoder) Next() (f *Frame, ok bool, err error) {
	if d.state == complete {
		d.ws.clear()
		d.state = between
	}
	for len(d.in) > 0 {
		switch d.state {
		case between:
			err = d.skipEOLs()
		case inCommand:
			err = d.readCommand()
		case inHeaders:
			err = d.readHeaderLine()
		case inBody:
			err = d.readBody()
		}
		if err != nil {
			failed := d.explain(err)
			d.Release()
			d.failed = failed
			return nil, false, err
		}
		if d.state == complete {
			return &d.ws.frame, true, nil
		}
	}
	d.settle()
	if d.failed != nil {
		return nil, false, d.failed.err
	}
	return nil, false, nil
}

// Buffered returns the number of bytes of an unfinished frame that the Decoder
// holds after Next has returned ok == false. It never exceeds the limits.
func (d *Decoder) Buffered() int {
	switch d.state {
	case between, complete:
		return 0
	}
	return d.head + len(d.cur)
}

// Release frees all memory at the end of a session. The Decoder drops its
// input, version, limits and error, and is the zero Decoder again. The last
// frame becomes invalid.
func (d *Decoder) Release() {
	d.ws.free()
	*d = Decoder{}
}

// skipEOLs skips ends of line between frames. It also skips NULs, which some
// clients send after a body whose content-length already counts one. Any other
// byte begins a frame.
func (d *Decoder) skipEOLs() error {
	for i, c := range d.in {
		switch {
		case c == '\n':
			d.cr = false
		case d.cr:
			return errReturn
		case c == '\r':
			d.cr = true
		case c == 0:
		default:
			d.in = d.in[i:]
			d.begin()
			return nil
		}
	}
	d.in = nil
	return nil
}

func (d *Decoder) begin() {
	d.state = inCommand
	d.head, d.line, d.lines = 0, 0, 0
	d.restart()
}

// restart makes cur the empty slice just before in.
func (d *Decoder) restart() {
	d.cur, d.owned = d.in[:0], false
}

// take moves n bytes from in to cur. The caller has checked the limits.
func (d *Decoder) take(n int) {
	if d.owned {
		d.ws.append(d.in[:n], d.limits.frame())
		d.cur = d.ws.buf
	} else {
		d.cur = d.cur[:len(d.cur)+n]
	}
	d.in = d.in[n:]
}

// settle ends a series of Next calls and lets go of the fed bytes. It copies
// those of an unfinished frame to a buffer of the Decoder; between frames it
// returns that buffer to the pool.
func (d *Decoder) settle() {
	d.in = nil
	switch {
	case d.state == between:
		d.cur, d.owned = nil, false
		d.ws.free()
		d.ws = nil
	case !d.owned:
		d.acquire()
		d.ws.buf = d.ws.buf[:0]
		d.ws.append(d.cur, d.limits.frame())
		d.cur, d.owned = d.ws.buf, true
	}
}

func (d *Decoder) acquire() {
	if d.ws == nil {
		d.ws = newWorkspace()
	}
}

func (d *Decoder) readCommand() error {
	window := d.in[:min(len(d.in), maxCommandLine-len(d.cur))]
	eol := bytes.IndexByte(window, '\n')
	if eol < 0 {
		if d.take(len(window)); !isCommandPrefix(d.cur) {
			return errCommand
		}
		return nil
	}
	d.take(eol + 1)
	command := intern(trimEOL(d.cur))
	if command == "" {
		return errCommand
	}
	d.acquire()
	d.ws.frame.Command = command
	d.start, d.line = len(d.cur), len(d.cur)
	d.state = inHeaders
	return nil
}

func trimEOL(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line) - 1; n >= 0 && line[n] == '\r' {
		line = line[:n]
	}
	return line
}

// readHeaderLine consumes the available part of a header line. It checks only
// for the end of the block, the limits and NUL, in byte order, so that the same
// input gives the same error however it is cut.
func (d *Decoder) readHeaderLine() error {
	if d.in[0] == 0 && len(d.cur) == d.line {
		if err := d.endHeaders(); err != nil {
			return err
		}
		if d.length > 0 {
			return errBlankLine
		}
		return nil
	}
	eol := bytes.IndexByte(d.in, '\n')
	n := eol + 1
	if eol < 0 {
		n = len(d.in)
	}
	room := min(d.limits.headerBytes()-len(d.cur)+d.start, d.limits.frame()-len(d.cur))
	if bytes.IndexByte(d.in[:min(n, max(room, 0))], 0) >= 0 {
		return errNUL
	}
	if n > room {
		return d.overrun()
	}
	d.take(n)
	if eol < 0 {
		return nil
	}
	if len(trimEOL(d.cur[d.line:])) == 0 {
		return d.endHeaders()
	}
	if d.lines++; d.lines > d.limits.headers() {
		return &LimitError{LimitHeaders, d.limits.headers()}
	}
	d.line = len(d.cur)
	return nil
}

// overrun returns the error for the limit that the header block exceeds first.
func (d *Decoder) overrun() error {
	if d.limits.frame()-d.start < d.limits.headerBytes() {
		return d.frameTooLarge()
	}
	return &LimitError{LimitHeaderBytes, d.limits.headerBytes()}
}

func (d *Decoder) frameTooLarge() error { return &LimitError{LimitFrame, d.limits.frame()} }

// endHeaders parses the header block, whose bytes are not needed afterwards.
func (d *Decoder) endHeaders() (err error) {
	d.length, err = d.ws.parseHeaders(d.cur[d.start:d.line], d.version)
	if err != nil {
		return err
	}
	d.head = len(d.cur)
	if d.length > d.limits.frame()-d.head {
		return d.frameTooLarge()
	}
	d.state = inBody
	d.restart()
	return nil
}

// bodyForbidden reports whether a body of the current frame is an error. Ends
// of line are always accepted: hand-written clients end a frame with one too
// many, and RabbitMQ and ActiveMQ accept it. In 1.0 the body of a frame such as
// SUBSCRIBE "is ignored", so it is discarded instead.
func (d *Decoder) bodyForbidden() bool {
	return d.version != V10 && !hasBody(d.ws.frame.Command)
}

func onlyEOLs(p []byte) bool {
	for _, c := range p {
		if c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}

// readBody consumes the available part of the body: content-length bytes, or up
// to the first NUL. It ends the frame at its NUL.
func (d *Decoder) readBody() error {
	var n int // bytes of in that belong to the body
	var ends bool
	if d.length >= 0 {
		n = min(d.length-len(d.cur), len(d.in))
		ends = n < len(d.in)
		if n > 0 && d.bodyForbidden() && !onlyEOLs(d.in[:n]) {
			return errBody
		}
		if ends && d.in[n] != 0 {
			return errEnd
		}
	} else {
		nul := bytes.IndexByte(d.in, 0)
		n, ends = nul, nul >= 0
		if !ends {
			n = len(d.in)
		}
		if n > 0 && d.bodyForbidden() && !onlyEOLs(d.in[:n]) {
			return errBody
		}
		if n > d.limits.frame()-d.head-len(d.cur) {
			return d.frameTooLarge()
		}
	}
	d.take(n)
	if !ends {
		return nil
	}
	d.in = d.in[1:]
	d.state = complete
	if n := len(d.cur); n > 0 && hasBody(d.ws.frame.Command) {
		d.ws.frame.Body = d.cur[:n:n]
	}
	return nil
}
