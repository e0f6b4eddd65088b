package frames

import "bytes"

// Decoder turns bytes, cut up in any way, into frames. It is a push parser: whoever reads the connection gives it what
// came with [Decoder.Feed] and then takes frames with [Decoder.Next] until there are no more; it has no reader, no
// goroutine and no lock, and is for one goroutine at a time. The zero value is ready for use; a Decoder must not be copied.
//
// It reads liberally where that is unambiguous: lines may end with CR LF in every version, a colon in a value needs no
// escape, the header block may end with the NUL itself, as in the DISCONNECT example of the specifications, NULs between
// frames are skipped, and a frame that has no body may have ends of line in its place. It is strict where a second reading would be possible: a content-length that is not plain digits, a missing NUL, a bare carriage
// return in the header block and an undefined escape sequence are errors.
//
// Frames that lie in one chunk are not copied. An unfinished one is kept in a pooled buffer, which an idle Decoder does not
// hold on to.
type Decoder struct {
	in     []byte     // fed and not yet taken
	cur    []byte     // taken: command and header block, then the body; the bytes before in, or ws.buf
	ws     *workspace // what the current frame needs; nil between frames
	failed *failure   // what ended decoding
	limits Limits

	line   int // where the current header line begins in cur
	lines  int // header lines so far
	start  int // where the header block begins in cur
	head   int // bytes of command and header block, once they are read
	length int // content-length, -1 if there is none

	version Version
	state   state
	cr      bool // a carriage return between frames waits for its line feed
	owned   bool // cur is ws.buf
}

type state uint8

const (
	between   state = iota // skipping ends of line
	inCommand              // in the command line
	inHeaders              // in the header block
	inBody                 // in the body, or before the NUL
	complete               // the frame in ws was returned
)

// SetVersion says which version was negotiated: how the headers of the frames after the last returned one are unescaped. It
// may be called between two calls of Next, since a client may send CONNECT and SEND in one chunk.
func (d *Decoder) SetVersion(v Version) { d.version = v }

// SetLimits replaces the limits, which are the defaults of [Limits] at first. It may be called at any time: a server
// allows less before CONNECTED.
func (d *Decoder) SetLimits(l Limits) { d.limits = l }

// Feed gives the Decoder the bytes that came next. p is kept, not copied, until Next returns ok == false, and must not
// change until then. If the caller stopped before that (say, because the frames behind a CONNECT must wait for the
// authentication), another Feed joins the rest and p in a copy, unlimited; better not to read on meanwhile.
func (d *Decoder) Feed(p []byte) {
	switch {
	case d.failed != nil:
	case len(d.in) == 0:
		d.in = p
	default:
		d.in = append(d.in[:len(d.in):len(d.in)], p...)
	}
}

// Next returns the next frame, or ok == false if more bytes are needed. The frame, its Headers slice and its Body are
// valid until the next call of Next, Feed or Release; the strings in it for ever, though each header keeps the whole header
// block of its frame in memory, so clone what is kept for long. Heart-beats, ends of line between frames, are skipped.
//
// The error is a [*SyntaxError] or a [*LimitError]. The Decoder is dead after it and returns it again and again.
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

// Buffered returns how many bytes of an unfinished frame the Decoder holds, once Next has returned ok == false. It is
// never more than the limits allow.
func (d *Decoder) Buffered() int {
	switch d.state {
	case between, complete:
		return 0
	}
	return d.head + len(d.cur)
}

// Release gives all memory back, for the end of a session. The Decoder forgets what it was fed, the version, the limits and
// its error: it is the zero Decoder again. The last frame is not valid any more.
func (d *Decoder) Release() {
	d.ws.free()
	*d = Decoder{}
}

// skipEOLs skips the ends of line between frames, and NULs, which some clients send behind a content-length that counts
// their own. It begins a frame at anything else.
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

// restart makes cur the empty slice before in.
func (d *Decoder) restart() {
	d.cur, d.owned = d.in[:0], false
}

// take moves n bytes from in to cur. No more than the limits allow: the caller has checked.
func (d *Decoder) take(n int) {
	if d.owned {
		d.ws.append(d.in[:n], d.limits.frame())
		d.cur = d.ws.buf
	} else {
		d.cur = d.cur[:len(d.cur)+n]
	}
	d.in = d.in[n:]
}

// settle ends a round of Next: the fed bytes are let go, so those of an unfinished frame move to a buffer of our own, and
// between two frames that buffer goes back to the pool.
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

// readHeaderLine takes what there is of one header line. It looks only for the end of the block, the limits and NUL, in
// the order of the bytes, so that the same bytes give the same error however they are cut.
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

// overrun says which limit a header block meets first.
func (d *Decoder) overrun() error {
	if d.limits.frame()-d.start < d.limits.headerBytes() {
		return d.frameTooLarge()
	}
	return &LimitError{LimitHeaderBytes, d.limits.headerBytes()}
}

func (d *Decoder) frameTooLarge() error { return &LimitError{LimitFrame, d.limits.frame()} }

// endHeaders parses the header block, after which its bytes are not needed any more.
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

// bodyForbidden tells whether a body on the current frame is an error, unless it is nothing but ends of line: hand-made
// clients end a frame with one too many, and RabbitMQ and ActiveMQ take it. In 1.0, where the body of a SUBSCRIBE, for one,
// "is ignored", it is only thrown away.
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

// readBody takes what there is of the body, as many bytes as content-length says or up to the first NUL, and ends the
// frame at its NUL.
func (d *Decoder) readBody() error {
	var n int // bytes of the body in in
	var ends bool
	if d.length >= 0 {
		n = min(d.length-len(d.cur), len(d.in))
		ends = n < len(d.in)
		if d.bodyForbidden() && !onlyEOLs(d.in[:n]) {
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
		if d.bodyForbidden() && !onlyEOLs(d.in[:n]) {
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
