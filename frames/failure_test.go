package frames

import (
	"strings"
	"testing"
)

// TestFailed checks what is known of an invalid frame, wherever the bytes are
// cut.
func TestFailed(t *testing.T) {
	small := Limits{Frame: 100, Headers: 3, HeaderBytes: 60}
	for _, tc := range []struct {
		name             string
		v                Version
		in               string
		command, receipt string
	}{
		{"body", V12, "SUBSCRIBE\nid:1\nreceipt:a\\cb\n\nx\x00", "SUBSCRIBE", "a:b"},
		{"no NUL after the body", V12, "SEND\nreceipt:7\ncontent-length:1\n\nxy\x00", "SEND", "7"},
		{"too large", V12, "SEND\nreceipt:7\ncontent-length:99\n\n", "SEND", "7"},
		{"too large without content-length", V12, "SEND\nreceipt:7\n\n" + strings.Repeat("x", 100), "SEND", "7"},
		{"no colon, receipt before", V12, "SEND\nreceipt:7\nx\n\n\x00", "SEND", "7"},
		{"no colon, receipt behind", V12, "SEND\nx\nreceipt:7\n\n\x00", "SEND", "7"},
		{"escape in another header", V11, "SEND\nx:\\t\nreceipt:7\n\n\x00", "SEND", "7"},
		{"escape in the receipt", V11, "SEND\nreceipt:\\t\n\n\x00", "SEND", ""},
		{"content-length", V12, "SEND\ncontent-length:x\r\nreceipt:7\r\n\n\x00", "SEND", "7"},
		{"NUL in a header", V12, "SEND\nreceipt:7\nx:\x00\n\n\x00", "SEND", "7"},
		{"too many headers", V12, "SEND\nreceipt:7\na:\nb:\nc:\n\n\x00", "SEND", "7"},
		{"too large a header block", V12, "SEND\nreceipt:7\na:" + strings.Repeat("x", 60) + "\n\n\x00", "SEND", "7"},
		{"the first counts", V12, "SEND\nreceipt:7\nreceipt:8\nx\n\n\x00", "SEND", "7"},
		{"1.0", V10, "SEND\nreceipt: \\7 \nx\n\n\x00", "SEND", "\\7"},
		{"CONNECT is not escaped", Unnegotiated, "CONNECT\nreceipt:\\7\nx\n\n\x00", "CONNECT", "\\7"},
		{"no receipt", V12, "ACK\n\nx\x00", "ACK", ""},
		{"between frames", V12, "\rx", "", ""},
	} {
		for size := 1; size <= len(tc.in); size += len(tc.in) - 1 {
			var d Decoder
			d.SetVersion(tc.v)
			d.SetLimits(small)
			for in := tc.in; in != ""; {
				n := min(size, len(in))
				d.Feed([]byte(in[:n]))
				in = in[n:]
				if _, ok, err := d.Next(); err != nil {
					break
				} else if ok {
					t.Fatalf("%s: a frame was read", tc.name)
				}
			}
			if command, receipt := d.Failed(); command != tc.command || receipt != tc.receipt {
				t.Errorf("%s, in pieces of %d: command %q, receipt %q, want %q and %q", tc.name, size, command, receipt, tc.command, tc.receipt)
			}
			if d.ws != nil {
				t.Errorf("%s: a dead decoder holds memory", tc.name)
			}
		}
	}
}

// TestFailedWord checks which words Failed returns.
func TestFailedWord(t *testing.T) {
	for in, want := range map[string]string{
		"HELLO\n\n\x00": "HELLO", "send\r\n": "send", "GET / HTTP/1.1\r\n": "GET", "SENDX\n": "SENDX",
		"\x16\x03\x01": "", "passcode:secret\n": "", `{"a":1}`: "", "é\n": "", "SEND \n": "SEND",
		strings.Repeat("X", 100): strings.Repeat("X", maxCommandLine),
	} {
		var d Decoder
		d.Feed([]byte(in))
		if _, _, err := d.Next(); err != ErrUnknownCommand {
			t.Errorf("%q: error %v", in, err)
		}
		if got, _ := d.Failed(); got != want {
			t.Errorf("%q: the word is %q, want %q", in, got, want)
		}
	}
	var d Decoder
	if command, receipt := d.Failed(); command != "" || receipt != "" {
		t.Errorf("without a failure: %q, %q", command, receipt)
	}
}
