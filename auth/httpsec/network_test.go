package httpsec_test

import (
	"net/netip"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

func TestNetwork(t *testing.T) {
	for _, test := range []struct{ address, want string }{
		{"192.0.2.1", "192.0.2.1"}, {"::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"}, {"fe80::1%eth0", "fe80::"},
	} {
		if got := httpsec.Network(netip.MustParseAddr(test.address)); got != netip.MustParseAddr(test.want) {
			t.Errorf("%s is of %v, want %s", test.address, got, test.want)
		}
	}
	if got := httpsec.Network(netip.Addr{}); got.IsValid() {
		t.Errorf("no address is of %v", got)
	}
}
