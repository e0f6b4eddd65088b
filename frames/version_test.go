package frames

import (
	"errors"
	"testing"
)

func TestNegotiateVersion(t *testing.T) {
	for _, tt := range []struct {
		name    string
		accept  string
		present bool
		want    Version
	}{
		{"trap 16 missing is 1.0", "", false, V10},
		{"trap 17 stompjs 7", "1.2,1.1,1.0", true, V12},
		{"trap 17 Spring, ascending", "1.1,1.2", true, V12},
		{"C-9 stompjs 2.3.3", "1.1,1.0", true, V11},
		{"trap 17 spaces", " 1.0 , 1.1", true, V11},
		{"only 1.0", "1.0", true, V10},
		{"unknown ones beside it", "2.0,1.1,x,", true, V11},
		{"trap 17 none in common", "2.0,1.3", true, Unnegotiated},
		{"empty", "", true, Unnegotiated},
		{"only commas", ",,", true, Unnegotiated},
		{"no exact match", "1.20,v1.1,1", true, Unnegotiated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := NegotiateVersion(tt.accept, tt.present)
			if got != tt.want || errors.Is(err, ErrNoCommonVersion) != (tt.want == Unnegotiated) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
	wantError(t, ErrNoCommonVersion, "no common protocol version, supported are 1.0,1.1,1.2")
}

func TestVersionString(t *testing.T) {
	for v, want := range map[Version]string{Unnegotiated: "", V10: "1.0", V11: "1.1", V12: "1.2", 77: ""} {
		if got := v.String(); got != want {
			t.Errorf("%d: %q, want %q", v, got, want)
		}
	}
}
