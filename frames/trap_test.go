package frames

import (
	"strings"
	"testing"
)

// The traps are those of the STOMP reference: places where the specifications
// or common clients are surprising.

func TestDecodeTraps(t *testing.T) {
	long := strings.Repeat("x", DefaultFrame)
	for _, tt := range []struct {
		name    string
		version Version
		in      string
		want    []*Frame
		err     string
	}{
		{"trap 1 CR LF in 1.0", V10, "SEND\r\na:b\r\n\r\nx\x00", []*Frame{frame("SEND", "x", "a", "b")}, ""},
		{"trap 1 CR LF in 1.1", V11, "SEND\r\na:b\r\n\r\nx\x00", []*Frame{frame("SEND", "x", "a", "b")}, ""},
		{"trap 1 CR LF and LF mixed", V12, "SEND\na:b\r\nc:d\n\r\nx\x00", []*Frame{frame("SEND", "x", "a", "b", "c", "d")}, ""},
		{"trap 1 bare CR in a value", V11, "SEND\na:b\rc\n\nx\x00", nil, "carriage return without line feed"},
		{"trap 1 two CR", V12, "SEND\na:b\r\r\n\nx\x00", nil, "carriage return without line feed"},
		{"trap 2 EOLs between frames", V12, "\n\r\nACK\n\n\x00\n\n\r\nNACK\n\n\x00\n", []*Frame{frame("ACK", ""), frame("NACK", "")}, ""},
		{"trap 2 CR and no LF between frames", V12, "ACK\n\n\x00\rACK\n\n\x00", []*Frame{frame("ACK", "")}, "carriage return without line feed"},
		{"trap 3 no content-length", V12, "SEND\n\na\nb\n\n\x00", []*Frame{frame("SEND", "a\nb\n\n")}, ""},
		{"trap 3 NUL in a body", V12, "SEND\ncontent-length:3\n\n\x00b\x00\x00", []*Frame{frame("SEND", "\x00b\x00", "content-length", "3")}, ""},
		{"trap 3 octets and not characters", V12, "SEND\ncontent-length:4\n\nöö\x00", []*Frame{frame("SEND", "öö", "content-length", "4")}, ""},
		{"trap 3 too short", V12, "SEND\ncontent-length:2\n\nöö\x00", nil, "no NUL after the body"},
		{"trap 3 too long", V12, "SEND\ncontent-length:3\n\nab\x00SEND\n\n\x00", nil, "no NUL after the body"},
		{"trap 3 negative", V12, "SEND\ncontent-length:-1\n\nab\x00", nil, "content-length is not a number"},
		{"trap 3 signed", V12, "SEND\ncontent-length:+2\n\nab\x00", nil, "content-length is not a number"},
		{"trap 3 garbage", V12, "SEND\ncontent-length:2b\n\nab\x00", nil, "content-length is not a number"},
		{"trap 3 empty", V12, "SEND\ncontent-length:\n\nab\x00", nil, "content-length is not a number"},
		{"trap 3 other digits", V12, "SEND\ncontent-length:٣\n\nab\x00", nil, "content-length is not a number"},
		{"trap 3 leading zeros", V12, "SEND\ncontent-length:002\n\nab\x00", []*Frame{frame("SEND", "ab", "content-length", "002")}, ""},
		{"trap 3 huge", V12, "SEND\ncontent-length:65536\n\n", nil, "frame larger than 65536 bytes"},
		{"trap 3 larger than any integer", V12, "SEND\ncontent-length:99999999999999999999999\n\n", nil, "frame larger than 65536 bytes"},
		{"trap 5 SUBSCRIBE with a body in 1.2", V12, "SUBSCRIBE\nid:1\n\nx", nil, "only SEND, MESSAGE and ERROR may have a body"},
		{"trap 5 SUBSCRIBE with a content-length in 1.1", V11, "SUBSCRIBE\ncontent-length:1\n\nx", nil, "only SEND, MESSAGE and ERROR may have a body"},
		{"trap 5 SUBSCRIBE with a body in 1.0", V10, "SUBSCRIBE\n\nx\x00ACK\ncontent-length:2\n\n\x00y\x00", []*Frame{frame("SUBSCRIBE", ""), frame("ACK", "", "content-length", "2")}, ""},
		{"trap 5 line ends in the place of a body", Unnegotiated, "CONNECT\n\n\n\x00STOMP\r\n\r\n\r\n\n\x00", []*Frame{frame("CONNECT", ""), frame("STOMP", "")}, ""},
		{"trap 5 line ends with a content-length", V12, "ACK\ncontent-length:3\n\n\n\r\n\x00", []*Frame{frame("ACK", "", "content-length", "3")}, ""},
		{"trap 5 line ends and more", V12, "ACK\n\n\n\nx\x00", nil, "only SEND, MESSAGE and ERROR may have a body"},
		{"trap 5 line ends and a NUL within the content-length", V12, "ACK\ncontent-length:2\n\n\n\x00\x00", nil, "only SEND, MESSAGE and ERROR may have a body"},
		{"trap 2 NULs between frames", V12, "\x00ACK\n\n\x00\x00\n\x00ACK\n\n\x00", []*Frame{frame("ACK", ""), frame("ACK", "")}, ""},
		{"trap 2 NUL behind half an end of line", V12, "\r\x00ACK\n\n\x00", nil, "carriage return without line feed"},
		{"trap 5 CONNECT with a body", Unnegotiated, "CONNECT\n\nx\x00", nil, "only SEND, MESSAGE and ERROR may have a body"},
		{"trap 5 content-length 0", V12, "SUBSCRIBE\ncontent-length:0\n\n\x00", []*Frame{frame("SUBSCRIBE", "", "content-length", "0")}, ""},
		{"trap 5 MESSAGE and ERROR", V12, "MESSAGE\n\na\x00ERROR\n\nb\x00", []*Frame{frame("MESSAGE", "a"), frame("ERROR", "b")}, ""},
		{"trap 6 first colon", V12, "SEND\nurl:http://h:1/\n\n\x00", []*Frame{frame("SEND", "", "url", "http://h:1/")}, ""},
		{"trap 6 empty value", V10, "SEND\na:\n\n\x00", []*Frame{frame("SEND", "", "a", "")}, ""},
		{"trap 6 empty name", V12, "SEND\n:a\n\n\x00", nil, "header line without a name"},
		{"trap 6 no colon", V12, "SEND\na\n\n\x00", nil, "header line without a colon"},
		{"trap 7 commands are case sensitive", V12, "Send\n\n\x00", nil, "unknown command"},
		{"trap 7 names are case sensitive", V12, "SEND\nContent-Length:x\n\nab\x00", []*Frame{frame("SEND", "ab", "Content-Length", "x")}, ""},
		{"trap 7 not UTF-8", V12, "SEND\n\xff:\xfe\n\n\xfd\x00", []*Frame{frame("SEND", "\xfd", "\xff", "\xfe")}, ""},
		{"trap 8 the smallest frame", V12, "DISCONNECT\n\n\x00", []*Frame{frame("DISCONNECT", "")}, ""},
		{"trap 8 DISCONNECT as in the specification", V12, "DISCONNECT\nreceipt:77\n\x00ACK\n\x00", []*Frame{frame("DISCONNECT", "", "receipt", "77"), frame("ACK", "")}, ""},
		{"trap 8 body without a blank line", V12, "SEND\na:b\nbody\x00", nil, "NUL inside a header line"},
		{"trap 8 a bad header without a blank line", V12, "SEND\na\n\x00", nil, "header line without a colon"},
		{"trap 8 body announced without a blank line", V12, "SEND\ncontent-length:2\n\x00b\x00", nil, "no blank line between headers and body"},
		{"trap 9 none in 1.0", V10, "SEND\na:\\n\\c\\x\\\n\n\x00", []*Frame{frame("SEND", "", "a", "\\n\\c\\x\\")}, ""},
		{"trap 9 1.1", V11, "SEND\n\\c\\n:\\n\\c\\\\n\n\n\x00", []*Frame{frame("SEND", "", ":\n", "\n:\\n")}, ""},
		{"trap 9 no \\r in 1.1", V11, "SEND\na:\\r\n\n\x00", nil, "undefined escape sequence in a header"},
		{"trap 9 1.2", V12, "SEND\n\\r\\\\:\\r\\n\\c\\\\\n\n\x00", []*Frame{frame("SEND", "", "\r\\", "\r\n:\\")}, ""},
		{"trap 9 undefined in 1.2", V12, "SEND\na:\\t\n\n\x00", nil, "undefined escape sequence in a header"},
		{"trap 9 undefined in a name", V12, "SEND\n\\t:a\n\n\x00", nil, "undefined escape sequence in a header"},
		{"trap 9 cut short", V12, "SEND\na:b\\\n\n\x00", nil, "undefined escape sequence in a header"},
		{"trap 10 CONNECT", V12, "CONNECT\npasscode:a\\nb\\\n\n\x00", []*Frame{frame("CONNECT", "", "passcode", "a\\nb\\")}, ""},
		{"trap 10 STOMP", V11, "STOMP\naccept-version:1.2\npasscode:\\x\n\n\x00", []*Frame{frame("STOMP", "", "accept-version", "1.2", "passcode", "\\x")}, ""},
		{"trap 10 CONNECTED", V12, "CONNECTED\nserver:a\\c\n\n\x00", []*Frame{frame("CONNECTED", "", "server", "a\\c")}, ""},
		{"trap 10 before negotiation", Unnegotiated, "ERROR\nmessage:a\\x\n\n\x00", []*Frame{frame("ERROR", "", "message", "a\\x")}, ""},
		{"trap 11 raw colons in 1.1", V11, "SEND\na:b:c\n\n\x00", []*Frame{frame("SEND", "", "a", "b:c")}, ""},
		{"trap 11 a Windows path in 1.1", V11, "SEND\na:C:\\temp\n\n\x00", nil, "undefined escape sequence in a header"},
		{"trap 13 padding in 1.0", V10, "SEND\nlogin:  user \n\n\x00", []*Frame{frame("SEND", "", "login", "user")}, ""},
		{"trap 13 tabs in 1.0", V10, "SEND\nlogin:\t a\tb \t\n\n\x00", []*Frame{frame("SEND", "", "login", "a\tb")}, ""},
		{"trap 13 padding in a content-length of 1.0", V10, "SEND\ncontent-length: 1\n\n\x00\x00", []*Frame{frame("SEND", "\x00", "content-length", "1")}, ""},
		{"trap 13 padding in the CONNECT of 1.0", Unnegotiated, "CONNECT\nlogin: user\n\n\x00", []*Frame{frame("CONNECT", "", "login", "user")}, ""},
		{"trap 13 no trimming in a CONNECT that asks for more", Unnegotiated, "CONNECT\naccept-version:1.1\nlogin: user\n\n\x00", []*Frame{frame("CONNECT", "", "accept-version", "1.1", "login", " user")}, ""},
		{"trap 13 no trimming in 1.1", V11, "SEND\n a : b \n\n\x00", []*Frame{frame("SEND", "", " a ", " b ")}, ""},
		{"trap 13 no trimming in 1.2", V12, "SEND\ncontent-length: 1\n\nx\x00", nil, "content-length is not a number"},
		{"trap 14 the first content-length wins", V12, "SEND\ncontent-length:1\ncontent-length:x\n\n\x00\x00", []*Frame{frame("SEND", "\x00", "content-length", "1", "content-length", "x")}, ""},
		{"trap 14 repeated headers are kept", V12, "SEND\na:1\na:2\n\n\x00", []*Frame{frame("SEND", "", "a", "1", "a", "2")}, ""},
		{"trap 18 no host", Unnegotiated, "CONNECT\naccept-version:1.1,1.0\n\n\x00", []*Frame{frame("CONNECT", "", "accept-version", "1.1,1.0")}, ""},
		{"trap 19 frames behind CONNECT", V12, "CONNECT\n\n\x00SEND\n\na\x00CONNECT\n\n\x00", []*Frame{frame("CONNECT", ""), frame("SEND", "a"), frame("CONNECT", "")}, ""},
		{"trap 25 heart-beats only", V12, "\n\r\n\n", nil, ""},
		{"trap 26 no EOL inside a frame is lost", V12, "SEND\ncontent-length:4\n\n\na\n\n\x00\n", []*Frame{frame("SEND", "\na\n\n", "content-length", "4")}, ""},
		{"trap 27 no id in 1.0", V10, "SUBSCRIBE\ndestination:/a\n\n\x00", []*Frame{frame("SUBSCRIBE", "", "destination", "/a")}, ""},
		{"trap 29 ACK headers of 1.1 and 1.2", V12, "ACK\nmessage-id:m\\c1\nsubscription:s\n\n\x00ACK\nid:a\n\n\x00", []*Frame{frame("ACK", "", "message-id", "m:1", "subscription", "s"), frame("ACK", "", "id", "a")}, ""},
		{"trap 38 DISCONNECT without receipt", V11, "DISCONNECT\n\n\x00", []*Frame{frame("DISCONNECT", "")}, ""},
		{"trap 39 unknown command", V12, "PING\n\n\x00", nil, "unknown command"},
		{"trap 39 commands of the server are frames", V12, "RECEIPT\nreceipt-id:1\n\n\x00", []*Frame{frame("RECEIPT", "", "receipt-id", "1")}, ""},
		{"trap 40 UNSUBSCRIBE by destination", V10, "UNSUBSCRIBE\ndestination:/a\n\n\x00", []*Frame{frame("UNSUBSCRIBE", "", "destination", "/a")}, ""},
		{"trap 42 many frames in one message", V12, "SEND\n\na\x00SEND\n\nb\x00\nSEND\n\nc\x00", []*Frame{frame("SEND", "a"), frame("SEND", "b"), frame("SEND", "c")}, ""},
		{"trap 43 a body that is not UTF-8", V12, "SEND\ncontent-length:3\n\n\xff\x00\xfe\x00", []*Frame{frame("SEND", "\xff\x00\xfe", "content-length", "3")}, ""},
		{"trap 45 the sum of all chunks counts", V12, "SEND\n\n" + long, nil, "frame larger than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunks := range [][]string{{tt.in}, octetwise(tt.in)} { // trap 42: cuts have no meaning
				got, err := decode(tt.version, chunks...)
				wantError(t, err, tt.err)
				wantFrames(t, got, tt.want...)
			}
		})
	}
}

func TestEncodeTraps(t *testing.T) {
	for _, tt := range []struct {
		name    string
		version Version
		frame   *Frame
		want    string
	}{
		{"trap 1 LF only", V12, frame("RECEIPT", "", "receipt-id", "1"), "RECEIPT\nreceipt-id:1\n\n\x00"},
		{"trap 3 content-length counts octets", V12, frame("MESSAGE", "ö\x00"), "MESSAGE\ncontent-length:3\n\nö\x00\x00"},
		{"trap 4 content-length always", V12, frame("MESSAGE", ""), "MESSAGE\ncontent-length:0\n\n\x00"},
		{"trap 4 content-length of the caller", V12, frame("SEND", "ab", "content-length", "7", "a", "b", "content-length", "x"), "SEND\na:b\ncontent-length:2\n\nab\x00"},
		{"trap 5 no body elsewhere", V12, frame("RECEIPT", "body", "content-length", "4"), "RECEIPT\n\n\x00"},
		{"trap 6 empty name", V12, frame("ACK", "", "", "v", "n", ""), "ACK\nn:\n\n\x00"},
		{"trap 6 empty name raw", V10, frame("ACK", "", "", "v", "n", ""), "ACK\nn:\n\n\x00"},
		{"trap 7 unknown command", V12, frame("PING\n\n\x00", "x"), ""},
		{"trap 8 blank line", V12, frame("DISCONNECT", ""), "DISCONNECT\n\n\x00"},
		{"trap 9 1.0 writes raw", V10, frame("ERROR", "", "message", `a:\b`), "ERROR\nmessage:a:\\b\ncontent-length:0\n\n\x00"},
		{"trap 9 1.1", V11, frame("RECEIPT", "", "a:\\\n", ":\\\n"), "RECEIPT\na\\c\\\\\\n:\\c\\\\\\n\n\n\x00"},
		{"trap 9 1.2", V12, frame("RECEIPT", "", "a:\\\n\r", ":\\\n\r."), "RECEIPT\na\\c\\\\\\n\\r:\\c\\\\\\n\\r.\n\n\x00"},
		{"trap 10 CONNECTED", V12, frame("CONNECTED", "", "version", "1.2", "server", `a:b\c`), "CONNECTED\nversion:1.2\nserver:a:b\\c\n\n\x00"},
		{"trap 10 CONNECT", V11, frame("CONNECT", "", "passcode", `a\:`), "CONNECT\npasscode:a\\:\n\n\x00"},
		{"trap 10 STOMP", V11, frame("STOMP", "", "passcode", `a\:`), "STOMP\npasscode:a\\:\n\n\x00"},
		{"trap 10 before negotiation", Unnegotiated, frame("ERROR", "x", "version", SupportedVersions), "ERROR\nversion:1.0,1.1,1.2\ncontent-length:1\n\nx\x00"},
		{"trap 10 injection into CONNECTED", V12, frame("CONNECTED", "", "user-name", "a\nadmin:1", "b", "a\r", "c", "\x00", "d:e", "f", "g\n", "h", "i", "j"), "CONNECTED\ni:j\n\n\x00"},
		{"trap 12 for 1.0", V10, frame("MESSAGE", "", "a", "\n", "b", "\r", "c", "\x00", "d:", "1", "e\n", "1", "f\r", "1", "g\x00", "1", "ok", "1"), "MESSAGE\nok:1\ncontent-length:0\n\n\x00"},
		{"trap 12 for 1.1", V11, frame("MESSAGE", "", "a", "b\rc", "d\r", "e", "ok", "\n"), "MESSAGE\nok:\\n\ncontent-length:0\n\n\x00"},
		{"trap 12 NUL for 1.2", V12, frame("MESSAGE", "", "a", "\n\x00", "d\x00", "e", "ok", "\r"), "MESSAGE\nok:\\r\ncontent-length:0\n\n\x00"},
		{"trap 13 no padding", V12, frame("RECEIPT", "", "receipt-id", " 1 "), "RECEIPT\nreceipt-id: 1 \n\n\x00"},
		{"trap 14 repeated headers in order", V12, frame("SEND", "", "a", "1", "a", "2"), "SEND\na:1\na:2\ncontent-length:0\n\n\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Append([]byte("before"), tt.version, tt.frame)
			if string(got) != "before"+tt.want {
				t.Errorf("got  %q\nwant %q", got[len("before"):], tt.want)
			}
		})
	}
}
