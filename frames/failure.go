package frames

import (
	"bytes"
	"strings"
)

// failure is what ended decoding, and what is known of the frame in which it happened.
type failure struct {
	err              error
	command, receipt string
}

// Failed returns what is known of the frame that [Decoder.Next] returned an error for, so that the answer can name it: its
// command, and its receipt header. Each is "" if it was not read. The command may be none that STOMP knows; it has letters
// only, at most as many as the longest command.
func (d *Decoder) Failed() (command, receipt string) {
	if d.failed == nil {
		return "", ""
	}
	return d.failed.command, d.failed.receipt
}

// explain keeps what is known of the current frame, before its memory is released.
func (d *Decoder) explain(err error) *failure {
	f := &failure{err: err}
	switch d.state {
	case inCommand:
		f.command = firstWord(d.cur)
	case inHeaders:
		f.command = d.ws.frame.Command
		f.receipt = findReceipt(d.cur[d.start:d.line], effective(f.command, d.version))
	case inBody:
		f.command = d.ws.frame.Command
		f.receipt = strings.Clone(d.ws.frame.Get(HeaderReceipt))
	}
	return f
}

// firstWord returns the letters that p begins with, "" if something else than a space or an end of line follows.
func firstWord(p []byte) string {
	n := 0
	for n < len(p) && (p[n]|0x20 >= 'a' && p[n]|0x20 <= 'z') {
		n++
	}
	if n < len(p) && p[n] != ' ' && p[n] != '\r' && p[n] != '\n' {
		return ""
	}
	return string(p[:min(n, maxCommandLine)])
}

// effective is the version by whose rules the headers of a command are read.
func effective(command string, v Version) Version {
	if isRaw(command) && v != V10 {
		return Unnegotiated
	}
	return v
}

// findReceipt looks for the receipt in a header block that may have lines that cannot be read.
func findReceipt(block []byte, v Version) string {
	for len(block) > 0 {
		eol := bytes.IndexByte(block, '\n') + 1
		name, value, _ := strings.Cut(string(trimEOL(block[:eol])), ":")
		block = block[eol:]
		if v == V10 {
			value = trim(value)
		}
		if name != HeaderReceipt {
			continue
		}
		if v >= V11 {
			value, _ = unescape(v, value)
		}
		return value
	}
	return ""
}
