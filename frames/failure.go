package frames

import (
	"bytes"
	"strings"
)

// failure is a decoding error and what is known of its frame.
type failure struct {
	err              error
	command, receipt string
}

// Failed describes the frame for which [Decoder.Next] returned an error, so
// that the answer can refer to it: its command and its receipt header, each ""
// if it was not read. The command may be unknown to STOMP; it consists of
// letters only and is no longer than the longest command.
func (d *Decoder) Failed() (command, receipt string) {
	if d.failed == nil {
		return "", ""
	}
	return d.failed.command, d.failed.receipt
}

// explain records what is known of the current frame before its memory is
// released.
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

// firstWord returns the letters at the start of p, or "" if they are followed
// by anything but a space or an end of line.
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

// effective returns the version whose rules apply to the headers of a command.
func effective(command string, v Version) Version {
	if isRaw(command) && v != V10 {
		return Unnegotiated
	}
	return v
}

// findReceipt finds the receipt header in a header block, which may contain
// invalid lines.
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
