package wsconn

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNegotiate(t *testing.T) {
	const plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	const window = plain + "; server_max_window_bits=15"
	for _, c := range []struct {
		offer []string
		want  string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"permessage-deflate"}, plain},
		{[]string{"permessage-deflate; client_max_window_bits"}, plain}, // Chrome, Firefox, Node's ws
		{[]string{"permessage-deflate; server_no_context_takeover; client_no_context_takeover"}, plain},
		{[]string{"permessage-deflate;client_no_context_takeover"}, plain},
		{[]string{"permessage-deflate; client_max_window_bits=8"}, plain},
		{[]string{"permessage-deflate; client_max_window_bits=\"15\""}, plain},
		{[]string{"permessage-deflate; server_max_window_bits=15"}, window},
		{[]string{"permessage-deflate; server_max_window_bits=\"15\"; client_max_window_bits"}, window},
		{[]string{"x-webkit-deflate-frame, permessage-deflate"}, plain}, // Safari
		{[]string{"x-webkit-deflate-frame; no_context_takeover"}, ""},
		{[]string{"permessage-bzip2; level=9", "permessage-deflate"}, plain},

		// The first acceptable offer is accepted.
		{[]string{"permessage-deflate; server_max_window_bits=10, permessage-deflate"}, plain},
		{[]string{"permessage-deflate; server_max_window_bits=10; client_max_window_bits, permessage-deflate; server_max_window_bits=15"}, window},
		{[]string{"permessage-deflate; server_max_window_bits=15, permessage-deflate"}, window},
		{[]string{"permessage-deflate; mux, permessage-deflate; client_max_window_bits=9"}, plain},
		{[]string{"permessage-deflate; mux", "permessage-deflate"}, plain},
		{[]string{"permessage-deflate=1", "permessage-deflate"}, plain},

		{[]string{"permessage-deflate; server_max_window_bits"}, ""},
		{[]string{"permessage-deflate; server_max_window_bits=8"}, ""},
		{[]string{"permessage-deflate; server_max_window_bits=14"}, ""},
		{[]string{"permessage-deflate; server_max_window_bits=16"}, ""},
		{[]string{"permessage-deflate; server_max_window_bits=015"}, ""},
		{[]string{"permessage-deflate; server_max_window_bits=fifteen"}, ""},
		{[]string{"permessage-deflate; client_max_window_bits=7"}, ""},
		{[]string{"permessage-deflate; client_max_window_bits=16"}, ""},
		{[]string{"permessage-deflate; client_max_window_bits=08"}, ""},
		{[]string{"permessage-deflate; client_max_window_bits=\"\""}, ""},
		{[]string{"permessage-deflate; server_no_context_takeover=true"}, ""},
		{[]string{"permessage-deflate; client_no_context_takeover=0"}, ""},
		{[]string{"permessage-deflate; client_max_window_bits; client_max_window_bits=10"}, ""},
		{[]string{"permessage-deflate; server_no_context_takeover; server_no_context_takeover"}, ""},
		{[]string{"permessage-deflate; unknown"}, ""},
		{[]string{"permessage-deflate; unknown=\"a, permessage-deflate\""}, ""},
		{[]string{"permessage-deflates"}, ""},
		{[]string{"permessage-deflate; ="}, ""},
		{[]string{"permessage-deflate; server_max_window_bits=\"15"}, ""},
		{[]string{"permessage-deflate permessage-deflate ="}, ""},
	} {
		if got := negotiate(http.Header{"Sec-Websocket-Extensions": c.offer}); got != c.want {
			t.Errorf("%q: got %q, want %q", c.offer, got, c.want)
		}
	}
}

// Whatever a client offers, the answer is one of the package's own.
func TestNegotiateAnything(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"permessage-deflate", "; ", ", ", "=", "\"", "\\", "(", " ", "\x00", "é", "15", "08",
		"server_max_window_bits", "client_max_window_bits", "server_no_context_takeover", "x",
	})
	rapid.Check(t, func(t *rapid.T) {
		line := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "line"), "")
		switch got := negotiate(http.Header{"Sec-Websocket-Extensions": {line}}); got {
		case "", deflateAnswer, deflateWindowAnswer:
		default:
			t.Fatalf("%q is answered with %q", line, got)
		}
	})
}

func TestUpgradeWithDeflateOnTheWire(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := serveDeflate(t, conns)
	for offer, want := range map[string]string{
		"permessage-deflate; client_max_window_bits":                                                  deflateAnswer,
		"permessage-deflate; server_max_window_bits=9, permessage-deflate; server_max_window_bits=15": deflateWindowAnswer,
		"permessage-deflate; server_max_window_bits=9":                                                "",
	} {
		nc, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.Write([]byte("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Extensions: " + offer + "\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"))
		answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: v12.stomp\r\n"
		if want != "" {
			answer += "Sec-WebSocket-Extensions: " + want + "\r\n"
		}
		answer += "\r\n"
		got := make([]byte, len(answer))
		if _, err := readFull(nc, got); err != nil || string(got) != answer {
			t.Fatalf("got %q, %v, want %q", got, err, answer)
		}
		c := wait(t, conns)
		if c.Deflate() != (want != "") {
			t.Errorf("%s: Deflate is %v", offer, c.Deflate())
		}
		c.Close()
	}
}
