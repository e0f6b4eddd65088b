package frames

import (
	"strings"
	"testing"
)

// recorded is what stompjs 2.3.3 sends when it waits for an authorization like
// PowerAuth Web Flow's page.
const recorded = "CONNECT\nX-CSRF-TOKEN:t\naccept-version:1.1,1.0\nheart-beat:10000,10000\n\n\x00" +
	"SUBSCRIBE\nid:sub-0\ndestination:/user/topic/registration\n\n\x00" +
	"SEND\ndestination:/app/registration\ncontent-length:26\n\n{\"webSocketId\":\"12345678\"}\x00" +
	"SUBSCRIBE\nid:sub-1\ndestination:/user/topic/authorization\n\n\x00" +
	"UNSUBSCRIBE\nid:/user/topic/authorization\n\n\x00" +
	"DISCONNECT\n\n\x00"

// TestRecordedClient covers C-1 (no host), C-3 (a destination for an id), C-5
// (DISCONNECT without receipt), C-6 (no ack header), C-7 (X-CSRF-TOKEN) and C-9
// (1.1,1.0), however the bytes are split into messages.
func TestRecordedClient(t *testing.T) {
	want := []*Frame{
		frame(CommandConnect, "", "X-CSRF-TOKEN", "t", HeaderAcceptVersion, "1.1,1.0", HeaderHeartBeat, "10000,10000"),
		frame(CommandSubscribe, "", HeaderID, "sub-0", HeaderDestination, "/user/topic/registration"),
		frame(CommandSend, `{"webSocketId":"12345678"}`, HeaderDestination, "/app/registration", HeaderContentLength, "26"),
		frame(CommandSubscribe, "", HeaderID, "sub-1", HeaderDestination, "/user/topic/authorization"),
		frame(CommandUnsubscribe, "", HeaderID, "/user/topic/authorization"),
		frame(CommandDisconnect, ""),
	}
	for _, chunks := range [][]string{{recorded}, octetwise(recorded), strings.SplitAfter(recorded, "\x00")} {
		got, err := decode(V11, chunks...)
		wantError(t, err, "")
		wantFrames(t, got, want...)
	}
	v, err := NegotiateVersion(want[0].Lookup(HeaderAcceptVersion))
	if v != V11 || err != nil {
		t.Errorf("C-9: version %v, %v", v, err)
	}
}

func TestC2ConnectedHasAHeartBeat(t *testing.T) {
	got := Append(nil, V11, frame(CommandConnected, "", HeaderVersion, V11.String(), HeaderHeartBeat, HeartBeat{}.String()))
	if string(got) != "CONNECTED\nversion:1.1\nheart-beat:0,0\n\n\x00" {
		t.Errorf("%q", got)
	}
}

func TestC4FrameCutIntoMessages(t *testing.T) {
	whole := "SEND\ndestination:/app/registration\ncontent-length:40000\n\n" + strings.Repeat("0123456789", 4000) + "\x00"
	got, err := decode(V11, whole[:16384], whole[16384:32768], whole[32768:])
	wantError(t, err, "")
	wantFrames(t, got, frame(CommandSend, strings.Repeat("0123456789", 4000), HeaderDestination, "/app/registration", HeaderContentLength, "40000"))
}

func TestC11OneParserForAllClients(t *testing.T) {
	got, err := decode(Unnegotiated, "\r\nSTOMP\r\naccept-version:1.2,1.1,1.0\r\nheart-beat:10000,10000\r\n\r\n\x00\r\n")
	wantError(t, err, "")
	wantFrames(t, got, frame(CommandStomp, "", HeaderAcceptVersion, "1.2,1.1,1.0", HeaderHeartBeat, "10000,10000"))
}
