package frames

import (
	"errors"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestParseHeartBeat(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want HeartBeat
		ok   bool
	}{
		{"trap 22 missing", "", HeartBeat{}, true},
		{"trap 22 none", "0,0", HeartBeat{}, true},
		{"trap 22 can, wants", "10000,20000", HeartBeat{10000 * ms, 20000 * ms}, true},
		{"spaces", " 1 , 2 ", HeartBeat{1 * ms, 2 * ms}, true},
		{"trap 26 largest", "2147483647,2147483647", HeartBeat{2147483647 * ms, 2147483647 * ms}, true},
		{"trap 26 too large", "2147483648,0", HeartBeat{}, false},
		{"trap 26 absurd", "0,99999999999999999999999", HeartBeat{}, false},
		{"trap 26 negative", "-1,0", HeartBeat{}, false},
		{"trap 26 signed", "+1,0", HeartBeat{}, false},
		{"trap 26 not a number", "10s,0", HeartBeat{}, false},
		{"trap 26 fraction", "1.5,0", HeartBeat{}, false},
		{"one number", "10000", HeartBeat{}, false},
		{"three numbers", "1,2,3", HeartBeat{}, false},
		{"nothing before the comma", ",1", HeartBeat{}, false},
		{"nothing behind the comma", "1,", HeartBeat{}, false},
		{"only a space", " ", HeartBeat{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseHeartBeat(tt.in)
			if got != tt.want || (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrHeartBeat) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestHeartBeatString(t *testing.T) {
	for _, tt := range []struct {
		in   HeartBeat
		want string
	}{
		{HeartBeat{}, "0,0"},
		{HeartBeat{10 * time.Second, time.Minute}, "10000,60000"},
		{HeartBeat{1, ms + 1}, "1,2"},
		{HeartBeat{-time.Second, ms}, "0,1"},
	} {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%#v: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestNegotiateHeartBeat(t *testing.T) {
	for _, tt := range []struct {
		name           string
		server, client HeartBeat
		send, receive  time.Duration
	}{
		{"trap 22 the larger one, each way", HeartBeat{10 * ms, 20 * ms}, HeartBeat{30 * ms, 5 * ms}, 10 * ms, 30 * ms},
		{"trap 22 the other larger one", HeartBeat{10 * ms, 20 * ms}, HeartBeat{15 * ms, 40 * ms}, 40 * ms, 20 * ms},
		{"client sends none", HeartBeat{10 * ms, 20 * ms}, HeartBeat{0, 40 * ms}, 40 * ms, 0},
		{"client wants none", HeartBeat{10 * ms, 20 * ms}, HeartBeat{15 * ms, 0}, 0, 20 * ms},
		{"server has none", HeartBeat{}, HeartBeat{15 * ms, 40 * ms}, 0, 0},
		{"trap 26 the client's 1 ms", HeartBeat{10 * ms, 20 * ms}, HeartBeat{1 * ms, 1 * ms}, 10 * ms, 20 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			send, receive := NegotiateHeartBeat(tt.server, tt.client)
			if send != tt.send || receive != tt.receive {
				t.Errorf("send %v receive %v, want %v %v", send, receive, tt.send, tt.receive)
			}
		})
	}
}
